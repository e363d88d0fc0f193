"""The `streamspan` command.

    streamspan demo [--story NAME ...] [--list] [--speed X] [--otlp [ENDPOINT]] [--json]

Exit status: 0, or 1 if a story ended otherwise than expected or the spans could not be sent, or 2 for wrong usage.
"""

import argparse
import math
import os
import sys
from collections.abc import Sequence

OTLP_ENDPOINT = "http://localhost:4318"
EXTRA = {"anthropic", "opentelemetry", "rich"}
"""The top packages of the `demo` extra."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command. Gives its exit status; for wrong usage raises SystemExit."""
    parser = argparse.ArgumentParser(prog="streamspan", description="See inside streamed LLM calls.")
    commands = parser.add_subparsers(title="commands", dest="command", metavar="COMMAND")
    demo = commands.add_parser(
        "demo",
        help="play streams that end well and badly, and draw them",
        description="Plays stories through the real client against a loopback server, and draws each stream.",
        epilog="Needs no key and no network.",
    )
    add_demo_options(demo)
    options = parser.parse_args(arguments)
    if options.command is None:
        parser.print_help()
        return 0
    try:
        return run_demo(options, demo)
    except KeyboardInterrupt:
        return 1
    except BrokenPipeError:  # the reader of our output has left
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that the flush at exit is silent
        return 1


def add_demo_options(demo: argparse.ArgumentParser) -> None:
    demo.add_argument("--story", action="append", metavar="NAME", help="play this story only; may be repeated")
    demo.add_argument("--list", action="store_true", help="list the stories, and play none")
    demo.add_argument("--speed", type=positive, default=1.0, metavar="X", help="play X times as fast")
    demo.add_argument(
        "--otlp",
        nargs="?",
        const=OTLP_ENDPOINT,
        metavar="ENDPOINT",
        help=f"send the spans to this OTLP/HTTP endpoint too (default: {OTLP_ENDPOINT})",
    )
    demo.add_argument("--json", action="store_true", help="print one JSON object for each stream, and draw nothing")
    demo.add_argument("--svg", metavar="FILE", help=argparse.SUPPRESS)  # for the picture in the README


def positive(text: str) -> float:
    number = float(text)
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"must be more than 0: {text}")
    return number


def run_demo(options: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """The demo, which needs packages that the bare install does not have."""
    try:
        from . import show  # noqa: PLC0415  # only here can a missing package be named
    except ModuleNotFoundError as missing:
        package = missing.name or ""
        if package.partition(".")[0] not in EXTRA:
            raise
        print(f'streamspan: {package} is missing; run: pip install "streamspan[demo]"', file=sys.stderr)
        return 1
    if options.list:
        show.print_list()
        return 0
    try:
        stories = show.chosen(options.story or ())
    except ValueError as unknown:
        parser.error(str(unknown))
    view = show.JsonLines() if options.json else show.Drawing(options.svg)
    return show.run(stories, view, speed=options.speed, otlp=options.otlp)

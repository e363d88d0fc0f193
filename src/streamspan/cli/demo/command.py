"""The sub-command `demo`.

    streamspan demo [--provider NAME] [--story NAME ...] [--list] [--speed X] [--repeat N] [--otlp [ENDPOINT]] [--json]

Exit status: 0, or 1 if a story ended otherwise than expected or the spans could not be sent.
"""

import argparse
import math

PROVIDERS = ("anthropic", "openai")
OTLP_ENDPOINT = "http://localhost:4318"


def add_options(demo: argparse.ArgumentParser) -> None:
    demo.description = "Plays stories through the real client against a loopback server, and draws each stream."
    demo.epilog = "Needs no key and no network."
    demo.add_argument(
        "--provider", choices=PROVIDERS, default=PROVIDERS[0], help=f"whose SDK is used (default: {PROVIDERS[0]})"
    )
    demo.add_argument("--story", action="append", metavar="NAME", help="play this story only; may be repeated")
    demo.add_argument("--list", action="store_true", help="list the stories, and play none")
    demo.add_argument("--speed", type=positive, default=1.0, metavar="X", help="play X times as fast")
    demo.add_argument(
        "--repeat",
        type=whole_number,
        metavar="N",
        help="play all N times, and draw the first time (default: 1; with --otlp 2, as a rate needs a second time)",
    )
    demo.add_argument(
        "--otlp",
        nargs="?",
        const=OTLP_ENDPOINT,
        metavar="ENDPOINT",
        help=f"send the spans and metrics to this OTLP/HTTP endpoint too (default: {OTLP_ENDPOINT})",
    )
    demo.add_argument("--json", action="store_true", help="print one JSON object for each stream, and draw nothing")
    demo.add_argument("--svg", metavar="FILE", help=argparse.SUPPRESS)  # for the picture in the README


def positive(text: str) -> float:
    number = float(text)
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"must be more than 0: {text}")
    return number


def whole_number(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be 1 or more: {text}")
    return number


def run(options: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """The demo, which needs packages that the bare install does not have."""
    from . import show  # noqa: PLC0415  # the extra `demo`, which may be missing
    from .provider import provider_named  # noqa: PLC0415  # the same

    provider = provider_named(options.provider)
    if options.list:
        show.print_list(provider.stories)
        return 0
    try:
        played = show.chosen(options.story or (), provider)
    except ValueError as unknown:
        parser.error(str(unknown))
    view = show.JsonLines() if options.json else show.Drawing(options.svg)
    times = options.repeat or (2 if options.otlp else 1)
    return show.run(played, view, speed=options.speed, otlp=options.otlp, times=times)

"""The `streamspan` command: parses, and hands over to the folder of the sub-command.

Each of these folders has a module `command.py`, whose imports a bare install has: `add_options()` describes the
command, `run()` imports what it needs and gives the exit status. A package of the command's extra that is missing is
named.

Exit status: that of the sub-command, or 2 for wrong usage.
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version

from .demo import command as demo
from .doctor import command as doctor
from .watch import command as watch

PACKAGES_OF_EXTRAS = {"anthropic", "google", "openai", "opentelemetry", "rich"}
"""By their top package."""


@dataclass(frozen=True, slots=True)
class Command:
    """extra: what `run` needs besides a bare install; None where that is enough."""

    help: str
    add_options: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace, argparse.ArgumentParser], int]
    extra: str | None


COMMANDS = {
    "demo": Command("play streams that end well and badly, and draw them", demo.add_options, demo.run, extra="demo"),
    "doctor": Command("say what stands between streams and their telemetry", doctor.add_options, doctor.run, None),
    "watch": Command("receive telemetry, and draw streams as they end", watch.add_options, watch.run, extra="watch"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command. Gives its exit status; for wrong usage raises SystemExit."""
    parser = argparse.ArgumentParser(prog="streamspan", description="See inside streamed LLM calls.")
    parser.add_argument("--version", action="version", version=version("streamspan"))
    choices = parser.add_subparsers(title="commands", dest="command", metavar="COMMAND")
    parsers = {name: choices.add_parser(name, help=command.help) for name, command in COMMANDS.items()}
    for name, command in COMMANDS.items():
        command.add_options(parsers[name])
    options = parser.parse_args(arguments)
    if options.command is None:
        parser.print_help()
        return 0
    try:
        return run(COMMANDS[options.command], options, parsers[options.command])
    except KeyboardInterrupt:
        return 1
    except BrokenPipeError:  # the reader of our output has left
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that the flush at exit is silent
        return 1


def run(command: Command, options: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """The command's exit status; 1 where a package of its extra is missing."""
    try:
        return command.run(options, parser)
    except ModuleNotFoundError as missing:
        package = missing.name or ""
        if command.extra is None or package.partition(".")[0] not in PACKAGES_OF_EXTRAS:
            raise
        print(f'streamspan: {package} is missing; run: pip install "streamspan[{command.extra}]"', file=sys.stderr)
        return 1

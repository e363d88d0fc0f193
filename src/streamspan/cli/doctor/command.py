"""The sub-command `doctor`.

    streamspan doctor [--send] [--json]

Exit status: 0, or 1 if something would keep telemetry from its backend.
"""

import argparse
import contextlib
import os
import shutil
import sys

WIDEST = 100


def add_options(doctor: argparse.ArgumentParser) -> None:
    doctor.description = "Says what stands between this environment and its telemetry, and what to do first."
    doctor.epilog = "It looks only: it instruments nothing, and sends nothing but the span of --send."
    doctor.add_argument("--send", action="store_true", help="send one test span through the configured exporter")
    doctor.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """The report on the standard output; what a package prints while it is imported goes to the standard error."""
    del parser
    from . import report  # noqa: PLC0415  # the other sub-commands do without

    with contextlib.redirect_stdout(sys.stderr):
        found = report.findings(os.environ, sends=options.send)
    step = report.next_step(found, sends=options.send)
    if options.json:
        print(report.as_json(found, step))
    else:
        width = min(WIDEST, shutil.get_terminal_size((WIDEST, 0)).columns)
        coloured = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        print(report.as_text(found, step, width=width, coloured=coloured))
    return int(report.worst(found) == "problem")

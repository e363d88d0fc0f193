"""All checks in their order, the one next step, and both as text or as JSON."""

import json
import textwrap
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from . import export, file, packages, seam, settings
from .finding import Environment, Finding, Status
from .send import send

Check = Callable[[Environment], Iterable[Finding]]

CHECKS: dict[str, tuple[Check, ...]] = {
    "installed": (packages.present, packages.fitting, packages.importable, packages.launcher),
    "seam": (seam.patched,),
    "spans": (seam.native, seam.others),
    "settings": (
        settings.switched_off,
        file.findings,
        settings.sampler,
        settings.limits,
        settings.content,
        settings.conventions,
        settings.of_streamspan,
    ),
    "export": (export.setup, export.service, export.traces, export.metrics, export.logs),
}
"""By section, which is the beginning of the name of each of its findings."""
TITLES = {
    "installed": "What is installed",
    "seam": "What is patched in the SDKs",
    "spans": "Who makes spans of a streamed call",
    "settings": "What variables switch off or change",
    "export": "Where telemetry goes",
}
COLOURS: dict[Status, str] = {"ok": "32", "note": "2", "warning": "33", "problem": "1;31"}
INDENT = " " * 11
JSON_VERSION = 1


class Step(NamedTuple):
    text: str
    command: str | None


def findings(environment: Environment, *, sends: bool) -> list[Finding]:
    found = [
        finding
        for section, checks in CHECKS.items()
        for check in checks
        for finding in examined(section, check, environment)
    ]
    if sends and any(finding.status == "problem" and finding.check.startswith("export.traces") for finding in found):
        found.append(Finding("export.send", "note", "no test span is sent before the exporter of traces is right"))
    elif sends:
        found += examined("export", send, environment)
    return found


def examined(section: str, check: Check, environment: Environment) -> list[Finding]:
    """What the check finds. That it fails itself is a finding, too: the environment may be broken in any way."""
    try:
        return list(check(environment))
    except Exception as error:  # noqa: BLE001
        text = f"this could not be checked, because of {type(error).__name__}"
        return [Finding(f"{section}.{check.__name__}", "warning", text)]


def worst(found: Sequence[Finding]) -> Status:
    statuses = {finding.status for finding in found}
    return "problem" if "problem" in statuses else "warning" if "warning" in statuses else "ok"


def next_step(found: Sequence[Finding], *, sends: bool) -> Step:
    """The first thing to do: about the first problem, else the first warning, else a note with a command."""
    for status in ("problem", "warning", "note"):
        for finding in found:
            if finding.status == status and (finding.command or status != "note"):
                return Step(finding.text, finding.command)
    if not sends and not any(finding.check == file.CHECK for finding in found):
        return Step("see whether a test span is accepted", "streamspan doctor --send")
    command = "opentelemetry-instrument python app.py" if export.is_set_up_by_environment() else "python app.py"
    return Step("start the application, and look for its first stream", command)


def as_json(found: Sequence[Finding], step: Step) -> str:
    items = [{"check": item.check, "status": item.status, "text": item.text, "command": item.command} for item in found]
    report = {"version": JSON_VERSION, "status": worst(found), "findings": items, "next_step": step._asdict()}
    return json.dumps(report, indent=2)


def as_text(found: Sequence[Finding], step: Step, *, width: int, coloured: bool) -> str:
    lines: list[str] = []
    for section, title in TITLES.items():
        of_section = [finding for finding in found if finding.check.startswith(f"{section}.")]
        if of_section:
            lines += [title, *(line for one in of_section for line in drawn(one, width, coloured=coloured)), ""]
    lines += [f"{counted(found, 'problem')}, {counted(found, 'warning')}", ""]
    lines += textwrap.wrap(f"Next step: {step.text}", width)
    if step.command:
        lines += ["", f"    {step.command}"]
    return "\n".join(lines)


def counted(found: Sequence[Finding], status: Status) -> str:
    number = sum(finding.status == status for finding in found)
    return f"{number or 'no'} {status}{'' if number == 1 else 's'}"


def drawn(finding: Finding, width: int, *, coloured: bool) -> list[str]:
    """Wrapped, but for the command, which is to be pasted."""
    first, *rest = textwrap.wrap(finding.text, width - len(INDENT), break_long_words=False, break_on_hyphens=False)
    word = f"{finding.status:<9}"
    if coloured:
        word = f"\x1b[{COLOURS[finding.status]}m{word}\x1b[0m"
    return [
        f"  {word}{first}",
        *(INDENT + line for line in rest),
        *([f"{INDENT}$ {finding.command}"] if finding.command else []),
    ]

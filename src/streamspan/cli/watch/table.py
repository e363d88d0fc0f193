"""The running table: for each service and model a line of names, with what went wrong, and a line of numbers.

Where there are several providers, the names have the provider, too.
"""

from collections.abc import Iterator

from rich.text import Text

from streamspan.cli.drawing.finished import FINDINGS
from streamspan.cli.drawing.rows import OUTCOME_STYLES
from streamspan.cli.drawing.words import seconds

from .totals import Total, Totals

_COLUMNS = {
    "active": 8,
    "silence": 9,
    "complete": 10,
    "truncated": 11,
    "error": 7,
    "aborted": 9,
    "first chunk p50": 17,
    "p95": 9,
}
"""Their widths, 80 in all."""

LONG_SILENCE = 5.0
"""Seconds: what an application takes for a stall, unless it is set otherwise."""


def table(totals: Totals, now: float, *, groups_at_most: int) -> Iterator[Text]:
    """Where there are more groups, the last line says so."""
    yield _line(Text("".join(f"{name:>{width}}" for name, width in _COLUMNS.items()), "dim"))
    groups = list(totals)
    has_providers = len(totals.providers) > 1
    for group, total in groups[:groups_at_most]:
        provider = f"({group.provider})" if has_providers and group.provider else ""
        yield _names(" ".join(filter(None, [group.service, group.model, provider])), total)
        yield _line(_numbers(total, totals.active(group, now), totals.silence(group, now)))
    if len(groups) > groups_at_most:
        yield _line(Text(f"and {len(groups) - groups_at_most} more services and models", "dim"))


def _line(text: Text) -> Text:
    """That is not broken, where a terminal is narrow."""
    text.no_wrap, text.overflow = True, "crop"
    return text


def _names(names: str, total: Total) -> Text:
    counts = [f"{count} {what if count == 1 else _PLURALS.get(what, what)}" for what, count in _what_else(total)]
    return Text.assemble((names, "bold"), (f"  {', '.join(counts)}" if counts else "", "yellow"))


_PLURALS = {
    "tool call before abort": "tool calls before abort",
    "stall": "stalls",
    "loop blocked": "loops blocked",
    "slow reader": "slow readers",
    "loop": "loops",
    "falls back": "fall back",
    "incomplete tool call": "incomplete tool calls",
    "invalid tool call": "invalid tool calls",
}


def _what_else(total: Total) -> Iterator[tuple[str, int]]:
    yield from ((finding, total.findings[finding]) for finding in FINDINGS if total.findings[finding])
    yield from ((what, total.outcomes[what]) for what in ("not observed", "other") if total.outcomes[what])


def _numbers(total: Total, active: float | None, silence: float | None) -> Text:
    cells = [
        ("" if active is None else f"{active:.0f}", "bold"),
        ("" if not silence else seconds(silence), "bold red" if silence and silence >= LONG_SILENCE else ""),
        *((str(count), style if count else "dim") for count, style in _outcomes(total)),
        *((("" if time is None else seconds(time)), "") for time in (total.first_chunk(0.5), total.first_chunk(0.95))),
    ]
    widths = _COLUMNS.values()
    return Text.assemble(*((f"{cell:>{width}}", style) for (cell, style), width in zip(cells, widths, strict=True)))


def _outcomes(total: Total) -> Iterator[tuple[int, str]]:
    return ((total.outcomes[outcome], style) for outcome, style in OUTCOME_STYLES.items())

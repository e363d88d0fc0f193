"""Streams as they are shown in a terminal."""

import io
import re
from dataclasses import replace

from rich.console import Console

from streamspan import semconv
from streamspan.cli.drawing.finished import FinishedStream
from streamspan.cli.watch.totals import Totals
from streamspan.cli.watch.view import QUEUED_AT_MOST, QUEUED_BYTES_AT_MOST, Drawings, EndedStream

WELL = EndedStream(
    "shop", "0a" * 16, "0b" * 8, 0.0, FinishedStream("chat", 2.0, "UNSET", {semconv.OUTCOME: "complete"}, []), 10
)
BADLY = replace(WELL, service="till", stream=FinishedStream("chat", 2.0, "ERROR", {semconv.OUTCOME: "error"}, []))


def drawn(streams: list[EndedStream]) -> tuple[list[str], str]:
    """The services of the streams that were drawn, in order, and all that was written."""
    written = io.StringIO()
    drawings = Drawings(Console(file=written, force_terminal=True, width=80, color_system=None), "Waiting.")
    for stream in streams:
        drawings.show(stream)
    drawings.finish(Totals(), 0, "streams: many")
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", written.getvalue())
    return re.findall(r"(\w+)  (?:COMPLETE|ERROR)", text), text


def test_streams_are_drawn_in_order() -> None:
    """Every stream is drawn, in the order in which they came, with its trace."""
    services, written = drawn([WELL, BADLY, WELL])

    assert services == ["shop", "till", "shop"]
    assert written.count("0a" * 16) == 3
    assert "not drawn" not in written


def test_bad_streams_come_first_where_there_are_too_many() -> None:
    """Of streams that come faster than they can be drawn those that went well are left out first, and counted."""
    services, written = drawn([BADLY, *[WELL] * QUEUED_AT_MOST, BADLY])

    assert services == ["till", *["shop"] * (QUEUED_AT_MOST - 2), "till"]
    assert "not drawn, because they came too fast: 2" in written


def test_streams_that_wait_to_be_drawn_are_bounded() -> None:
    """Large streams are left out, too, the oldest first: one that is too large by itself is only counted."""
    half = replace(BADLY, size=QUEUED_BYTES_AT_MOST // 2)
    services, _ = drawn([half, half, replace(half, service="last")])

    assert services == ["till", "last"]
    assert drawn([replace(BADLY, size=QUEUED_BYTES_AT_MOST + 1)])[0] == []


def test_time_that_cannot_be() -> None:
    """A stream from no time that there is has none."""
    assert replace(WELL, ended_at=1e30).clock == "--:--:--"
    assert re.fullmatch(r"\d\d:\d\d:\d\d", WELL.clock)

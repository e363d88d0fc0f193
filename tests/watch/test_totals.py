"""Streams joined with their events, and counted: each once, in bounded memory."""

import tracemalloc
from collections.abc import Sequence
from dataclasses import replace

from opentelemetry.util.types import AttributeValue
from rich.console import Console

from streamspan import semconv
from streamspan.cli.drawing.finished import FinishedStream
from streamspan.cli.watch.joined import HELD_AT_MOST, HELD_SECONDS, SEEN_AT_MOST, Joined
from streamspan.cli.watch.otlp import Event, Gauge, Group, LogEvent, Span
from streamspan.cli.watch.table import table
from streamspan.cli.watch.totals import GAUGE_SECONDS, GROUPS_AT_MOST, OTHERS, Totals

BLOCK: Event = (semconv.EVENT_CONTENT_BLOCK, 2, {})
ABORT: Event = (semconv.EVENT_ABORT, 3, {semconv.ABORT_REASON: "closed"})


def ended(identity: str, *, events: Sequence[Event] = (), outcome: str = "aborted", size: int = 1000) -> Span:
    attributes: dict[str, AttributeValue] = {semconv.OUTCOME: outcome, semconv.CONTENT_BLOCK_COUNT: 1}
    return Span(identity.encode(), "shop", "chat", 0, 4, "UNSET", attributes, events, size)


def log(identity: str, event: Event, size: int = 100) -> LogEvent:
    return LogEvent(identity.encode(), event, size)


def shown(joined: Joined, now: float) -> list[tuple[str, list[str]]]:
    """The ids of what is ready, with the names of their events."""
    return [(span.id.decode(), [name for name, _, _ in span.events]) for span in joined.ready(now)]


def test_span_with_its_events_is_shown_at_once() -> None:
    """Streams whose events are on the span are shown as they come, in order, and each once."""
    joined = Joined()
    for identity in ("b", "a", "b"):
        joined.take_span(ended(identity, events=[BLOCK]), 0)

    assert shown(joined, 0) == [("b", [BLOCK[0]]), ("a", [BLOCK[0]])]

    joined.take_span(ended("a", events=[BLOCK]), 1)

    assert shown(joined, 1) == []


def test_log_events_are_joined_wherever_they_come() -> None:
    """Log events from before the span and from after it are its events, in the order of their times."""
    joined = Joined()
    joined.take_event(log("a", ABORT))
    joined.take_span(ended("a"), 0)

    assert shown(joined, 0) == []

    joined.take_event(log("a", BLOCK))

    assert shown(joined, 0) == [("a", [BLOCK[0], ABORT[0]])]


def test_span_waits_for_its_log_events_for_a_while() -> None:
    """Where events do not come the span is shown without; one that comes later is forgotten."""
    joined = Joined()
    joined.take_span(ended("a"), 10)

    assert shown(joined, 10 + HELD_SECONDS - 0.1) == []
    assert shown(joined, 10 + HELD_SECONDS) == [("a", [])]

    joined.take_event(log("a", BLOCK))
    joined.take_span(ended("a"), 20)

    assert shown(joined, 100) == []


def test_span_waits_for_its_content_where_it_is_to_be_shown() -> None:
    """A span with its events is held for a record with its content, if somebody wants to see that."""
    joined = Joined(awaits_content=True)
    for identity in ("a", "b"):
        joined.take_span(ended(identity, events=[BLOCK]), 0)

    assert shown(joined, 0) == []

    joined.take_event(log("b", ("details", 9, {"gen_ai.output.messages": "[]"})))

    assert shown(joined, 0) == [("b", [BLOCK[0], "details"])]
    assert shown(joined, HELD_SECONDS) == [("a", [BLOCK[0]])]


def test_event_that_came_both_ways_is_one() -> None:
    """With `events="both"` a stream has each event once."""
    joined = Joined()
    joined.take_event(log("a", BLOCK))
    joined.take_event(log("a", ("gen_ai.client.inference.operation.details", 9, {})))
    joined.take_span(ended("a", events=[BLOCK]), 0)

    assert shown(joined, 0) == [("a", [BLOCK[0], "gen_ai.client.inference.operation.details"])]


def test_what_waits_is_bounded() -> None:
    """Spans that wait and events that nobody asks for are given up, the oldest first."""
    joined = Joined()
    for number in range(HELD_AT_MOST + 1):
        joined.take_span(ended(str(number)), 0)
    joined.take_event(log("first", BLOCK, size=3_000_000))
    joined.take_event(log("second", BLOCK, size=3_000_000))
    for identity in ("first", "second"):
        joined.take_span(ended(identity, outcome="complete"), 0)

    assert shown(joined, 0) == [("0", []), ("1", []), ("2", []), ("second", [BLOCK[0]])]


STREAM = FinishedStream(
    name="chat claude-x",
    duration=2.0,
    status="UNSET",
    attributes={
        semconv.OUTCOME: "complete",
        semconv.REQUEST_MODEL: "claude-x",
        semconv.PROVIDER_NAME: "anthropic",
        semconv.RESPONSE_TIME_TO_FIRST_CHUNK: 0.5,
        semconv.STALL_COUNT: 2,
        semconv.REPETITION_DETECTED: True,
        semconv.BUFFERED: True,
        semconv.TRANSIT_TIME: 2.0,
        semconv.BLOCKED_TIME: 1.0,
        semconv.TOOL_CALL_INCOMPLETE: 1,
        semconv.TOOL_CALL_INVALID_JSON: 3,
    },
    events=[],
)
GROUP = Group("shop", "claude-x", "anthropic")
GAUGE = Gauge(1, GROUP, semconv.ACTIVE.name, 2.0)
TABLE = """\
  active  silence  complete  truncated  error  aborted  first chunk p50      p95
chat claude-x
                          1          0      0        0           0.50 s   0.50 s
shop claude-x  4 stalls, 2 buffered, 2 held back, 2 loops blocked, 2 loops, 2 incomplete tool calls, \
6 invalid tool calls
       5  12.00 s         1          0      0        1           0.50 s   0.50 s
"""


def written(totals: Totals, now: float = 0) -> str:
    console = Console(width=140)
    with console.capture() as capture:
        for line in table(totals, now, groups_at_most=10):
            console.print(line)
    return capture.get()


def test_table() -> None:
    """Each service and model has its outcomes, its anomalies, its times, and what is open in all of its processes."""
    totals = Totals()
    aborted: dict[str, AttributeValue] = {**STREAM.attributes, semconv.OUTCOME: "aborted"}
    plain: dict[str, AttributeValue] = {name: STREAM.attributes[name] for name in list(STREAM.attributes)[:4]}
    totals.add("shop", STREAM)
    totals.add("shop", replace(STREAM, attributes=aborted))
    totals.add("chat", replace(STREAM, attributes=plain))
    for gauge in (
        GAUGE,
        replace(GAUGE, series=2, value=3.0),
        replace(GAUGE, series=3, metric=semconv.SILENCE.name, value=12.0),
    ):
        totals.set_gauge(gauge, 0)

    assert written(totals) == TABLE


def test_table_of_two_providers() -> None:
    """Where streams of two providers are seen each group has its provider; the same model of two is two groups."""
    totals = Totals()
    for provider, count in {"anthropic": 1, "openai": 2, "groq": 3}.items():
        for _ in range(count):
            attributes = {semconv.OUTCOME: "complete", semconv.REQUEST_MODEL: "m", semconv.PROVIDER_NAME: provider}
            totals.add("shop", replace(STREAM, attributes=attributes))
    totals.set_gauge(Gauge(1, Group("shop", "m", "openai"), semconv.ACTIVE.name, 4.0), 0)

    assert [line.split() for line in written(totals).splitlines()[1:]] == [
        ["shop", "m", "(anthropic)"],
        ["1", "0", "0", "0"],
        ["shop", "m", "(groq)"],
        ["3", "0", "0", "0"],
        ["shop", "m", "(openai)"],
        ["4", "2", "0", "0", "0"],
    ]


def test_gauge_is_the_latest() -> None:
    """A series' newer value takes the place of the older; one that is told no more is unknown, not 0."""
    totals = Totals()
    totals.set_gauge(GAUGE, 0)
    totals.set_gauge(replace(GAUGE, value=7.0), 1)

    assert totals.active(GROUP, 2) == 7.0
    assert totals.active(GROUP, 1 + GAUGE_SECONDS) is None
    assert totals.silence(GROUP, 2) is None


def test_percentiles() -> None:
    """First chunks are ranked: of 100 streams the median is the 50th, p95 the 95th; of none there is none."""
    totals = Totals()
    for hundredths in range(100, 0, -1):
        first_chunk: dict[str, AttributeValue] = {semconv.RESPONSE_TIME_TO_FIRST_CHUNK: hundredths / 100}
        totals.add("shop", replace(STREAM, attributes=first_chunk))
    totals.add("chat", replace(STREAM, attributes={}))
    (_, unknown), (_, known) = totals

    assert (known.first_chunk(0.5), known.first_chunk(0.95)) == (0.5, 0.95)
    assert unknown.first_chunk(0.5) is None


def test_memory_is_bounded() -> None:
    """Days of streams, of events whose spans never come, of ever new services and processes take no more than one."""
    joined, totals = Joined(), Totals()
    day = SEEN_AT_MOST + 2000

    def memory_after(numbers: range) -> int:
        for number in numbers:
            joined.take_event(log(f"lost {number}", BLOCK, size=5000))
            joined.take_span(ended(str(number), events=[BLOCK]), number)
            for span in joined.ready(number):
                totals.add(span.id.decode(), replace(STREAM, attributes=span.attributes))
            totals.set_gauge(replace(GAUGE, series=number, group=GROUP._replace(service=str(number))), number)
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    first = memory_after(range(day))
    second = memory_after(range(day, 2 * day))
    tracemalloc.stop()
    groups = [group for group, _ in totals]

    assert len(groups) == GROUPS_AT_MOST + 1
    assert OTHERS in groups
    assert totals.stream_count == 2 * day
    assert second < 1.1 * first

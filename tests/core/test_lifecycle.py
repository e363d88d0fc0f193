"""How a stream ends, cell by cell: every signal in every state, with every cause that it may have."""

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from types import FrameType
from typing import Any, NamedTuple, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamspan.core.lifecycle import TABLE, Cause, Lifecycle, Signal, State
from streamspan.core.model import Verdict

THREADS = 8

EVENTS: tuple[State, ...] = ("unread", "reading", "between_reads")
"""The headers have come, and the events are seen."""
NOT_BYTES: tuple[State, ...] = ("opening", *EVENTS)
ALL: tuple[State, ...] = (*NOT_BYTES, "bytes")
AT_REST: tuple[State, ...] = ("unread", "between_reads")
"""The response is there, and nobody is inside a read."""


class Row(NamedTuple):
    """`because`: what happens, and why the stream ends like this."""

    because: str
    signal: Signal
    causes: tuple[Cause, ...]
    states: tuple[State, ...]
    verdict: Verdict | None


ROWS = [
    # complete
    Row("The provider's own end has arrived.", "finished", ("none",), EVENTS, "complete"),
    Row("Nothing arrives before the headers.", "finished", ("none", "error"), ("opening",), None),
    Row("Nobody sees the events of a body read as bytes.", "finished", ("none", "error"), ("bytes",), None),
    # truncated
    Row("The body ended without the provider's own end.", "exhausted", ("none",), EVENTS, "truncated"),
    Row("There is no body before the headers.", "exhausted", ("none",), ("opening",), None),
    Row("Nobody knows whether the bytes were a whole answer.", "exhausted", ("none",), ("bytes",), "unobserved"),
    # error
    Row("The provider's own end says that the answer failed.", "finished", ("error",), EVENTS, "error"),
    Row("The call, the transport or the data failed; bytes too.", "raised", ("error",), ALL, "error"),
    Row("The SDK's helper raised above the stream.", "closed", ("sdk_error",), NOT_BYTES, "error"),
    Row("The SDK's helper raised, and closes the body.", "body_closed", ("sdk_error",), AT_REST, "error"),
    Row("The body ended with an error that the SDK did not raise.", "exhausted", ("error",), EVENTS, "error"),
    Row("There is no body before the headers, nor an error in it.", "exhausted", ("error",), ("opening",), None),
    Row("Nobody looks at the bytes that others read.", "exhausted", ("error",), ("bytes",), "unobserved"),
    # aborted, because it was closed
    Row("The application closes the stream.", "closed", ("none",), NOT_BYTES, "closed"),
    Row("The application closes the response.", "body_closed", ("none",), AT_REST, "closed"),
    Row("A read meets a response that somebody has closed.", "raised", ("closed",), NOT_BYTES, "closed"),
    # aborted, because the application failed
    Row("An exception of the application's own unwinds.", "closed", ("error",), NOT_BYTES, "consumer_error"),
    Row("The same, through the response.", "body_closed", ("error",), AT_REST, "consumer_error"),
    Row("A callback of the application's failed.", "interrupted", ("error",), NOT_BYTES, "consumer_error"),
    # aborted, because it was cancelled
    Row("The call or the read was cancelled.", "raised", ("cancelled",), NOT_BYTES, "cancelled"),
    Row("Ctrl-C, or a cancellation, in a callback.", "interrupted", ("cancelled",), NOT_BYTES, "cancelled"),
    Row("The stream is closed by a cancellation.", "closed", ("cancelled",), NOT_BYTES, "cancelled"),
    Row("The response is closed by a cancellation.", "body_closed", ("cancelled",), AT_REST, "cancelled"),
    Row(
        "A cancelled task lets go of the stream.", "dropped", ("cancelled",), ("reading", "between_reads"), "cancelled"
    ),
    Row("The call was given up before the headers.", "dropped", ("none", "cancelled"), ("opening",), "cancelled"),
    # aborted, because nobody holds it any more
    Row(
        "Nobody holds the stream, which was read in part.",
        "dropped",
        ("none",),
        ("reading", "between_reads"),
        "dropped",
    ),
    Row("Nobody holds the stream, which nobody has read.", "dropped", ("none", "cancelled"), ("unread",), "never_read"),
    Row("A generator is closed, by whom is not known.", "closed", ("generator",), NOT_BYTES, "dropped"),
    Row("The same, through the response.", "body_closed", ("generator",), AT_REST, "dropped"),
    # aborted, because the process ends
    Row("The process ends.", "shutdown", ("none",), NOT_BYTES, "shutdown"),
    # not decided yet
    Row(
        "The body is closed while a read goes on: what the read meets will tell.",
        "body_closed",
        ("none", "error", "sdk_error", "generator", "cancelled"),
        ("reading",),
        None,
    ),
    Row(
        "A response is closed before the call has given one: the call will raise.",
        "body_closed",
        ("none", "error", "sdk_error", "generator", "cancelled"),
        ("opening",),
        None,
    ),
    # unobserved
    Row("The response cannot be watched.", "unobservable", ("none",), ALL, "unobserved"),
    Row("Nobody saw the events, so nobody knows.", "raised", ("closed", "cancelled"), ("bytes",), "unobserved"),
    Row("Nobody saw the events, so nobody knows.", "interrupted", ("error", "cancelled"), ("bytes",), "unobserved"),
    Row(
        "Nobody saw the events, so nobody knows.",
        "closed",
        ("none", "error", "sdk_error", "generator", "cancelled"),
        ("bytes",),
        "unobserved",
    ),
    Row(
        "Nobody saw the events, so nobody knows.",
        "body_closed",
        ("none", "error", "sdk_error", "generator", "cancelled"),
        ("bytes",),
        "unobserved",
    ),
    Row("Nobody saw the events, so nobody knows.", "dropped", ("none", "cancelled"), ("bytes",), "unobserved"),
    Row("Nobody saw the events, so nobody knows.", "shutdown", ("none",), ("bytes",), "unobserved"),
]

CAUSES: dict[Signal, set[Cause]] = {
    "finished": {"none", "error"},
    "exhausted": {"none", "error"},
    "raised": {"error", "closed", "cancelled"},
    "interrupted": {"error", "cancelled"},
    "closed": {"none", "error", "sdk_error", "generator", "cancelled"},
    "body_closed": {"none", "error", "sdk_error", "generator", "cancelled"},
    "dropped": {"none", "cancelled"},
    "unobservable": {"none"},
    "shutdown": {"none"},
}

Cell = tuple[State, Signal, Cause]


def cells() -> Iterator[tuple[Cell, Verdict | None]]:
    for row in ROWS:
        for cause in row.causes:
            for state in row.states:
                yield (state, row.signal, cause), row.verdict


EXPECTED = dict(cells())


def in_state(state: State) -> Lifecycle:
    lifecycle = Lifecycle()
    lifecycle.state = state
    return lifecycle


# --- the table -----------------------------------------------------------------------------------------------------


def test_the_rows_are_the_whole_table() -> None:
    """Each state has each signal with each of its causes, in one row."""
    whole = [(state, signal, cause) for signal, causes in CAUSES.items() for cause in causes for state in ALL]

    assert sorted(cell for cell, _ in cells()) == sorted(whole)


def test_every_signal_has_its_causes_and_no_other() -> None:
    """The table has a line for each cause that a signal may have, and each line has a verdict for each state."""
    causes = {signal: {cause for other, cause in TABLE if other == signal} for signal, _ in TABLE}

    assert causes == CAUSES
    assert set(causes) == set(get_args(Signal))
    assert {cause for _, cause in TABLE} == set(get_args(Cause))
    assert set(ALL) == set(get_args(State))
    assert {len(verdicts) for verdicts in TABLE.values()} == {len(ALL)}


@pytest.mark.parametrize(
    ("cell", "expected"), EXPECTED.items(), ids=[f"{signal}-{cause}-{state}" for state, signal, cause in EXPECTED]
)
def test_every_cell(cell: Cell, expected: Verdict | None) -> None:
    """A signal ends a stream as the row of its cause and of the stream's state says, or leaves it open."""
    state, signal, cause = cell
    lifecycle = in_state(state)

    verdict = lifecycle.verdict(signal, cause)

    assert (verdict, lifecycle.has_ended) == (expected, expected is not None)


@pytest.mark.parametrize("signal", [signal for signal, causes in CAUSES.items() if "none" in causes])
def test_a_signal_may_come_without_a_cause(signal: Signal) -> None:
    """Without a cause it is as with the cause `none`."""
    assert in_state("between_reads").verdict(signal) == EXPECTED["between_reads", signal, "none"]


def test_a_stream_is_opening_at_first() -> None:
    """A new stream has been called, has no headers and has not ended."""
    lifecycle = Lifecycle()

    assert (lifecycle.state, lifecycle.has_ended) == ("opening", False)


# --- exactly one ---------------------------------------------------------------------------------------------------


@given(st.lists(st.sampled_from(list(EXPECTED))))
def test_the_first_verdict_wins(signals: list[Cell]) -> None:
    """Whatever signals come, in whatever states: the first that ends the stream gives its verdict, no other does."""
    lifecycle = Lifecycle()
    given_verdicts: list[Verdict | None] = []
    for state, signal, cause in signals:
        lifecycle.state = state
        given_verdicts.append(lifecycle.verdict(signal, cause))

    would_end = [EXPECTED[cell] is not None for cell in signals]
    first = would_end.index(True) if True in would_end else len(signals)
    assert given_verdicts == [EXPECTED[cell] if n == first else None for n, cell in enumerate(signals)]
    assert lifecycle.has_ended == any(would_end)


@pytest.mark.parametrize("attempt", range(20))
@pytest.mark.usefixtures("quick_switches")
def test_many_threads_get_one_verdict(attempt: int) -> None:
    """Of many threads that signal at one moment exactly one gets the verdict."""
    lifecycle = in_state("between_reads")
    together = Barrier(THREADS)

    def signal(_: int) -> Verdict | None:
        together.wait()
        return lifecycle.verdict("closed")

    with ThreadPoolExecutor(THREADS) as threads:
        verdicts = list(threads.map(signal, range(THREADS)))

    assert [verdict for verdict in verdicts if verdict is not None] == ["closed"]


@pytest.mark.parametrize("line", range(5))
def test_a_signal_inside_a_signal(line: int) -> None:
    """A finalizer or a signal handler that interrupts any line of a verdict is a signal like any other."""
    lifecycle = in_state("between_reads")
    verdicts: list[Verdict | None] = []
    lines_left = [None] * line

    def interrupt(frame: FrameType, event: str, _: object) -> Any:
        if frame.f_code is not Lifecycle.verdict.__code__:
            return None
        if event == "line":
            if lines_left:
                lines_left.pop()
            elif not verdicts:
                verdicts.append(lifecycle.verdict("dropped"))
        return interrupt

    before = sys.gettrace()
    sys.settrace(interrupt)
    try:
        verdicts.append(lifecycle.verdict("closed"))
    finally:
        sys.settrace(before)

    assert set(verdicts) in ({None, "closed"}, {None, "dropped"})
    assert len(verdicts) == 2

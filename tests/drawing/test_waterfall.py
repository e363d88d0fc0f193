"""The drawing of a finished stream, as text."""

import io
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.util.types import AttributeValue
from rich.console import Console, RenderableType

from streamspan import semconv
from streamspan.cli.drawing.finished import (
    FinishedStream,
    StreamEvent,
    finished_stream,
    printable,
)
from streamspan.cli.drawing.waterfall import Summary, Waterfall, axis, headline_style
from streamspan.cli.drawing.words import facts, headline


def block(index: int, block_type: str, start: float, duration: float, chars: int, *, complete: bool) -> StreamEvent:
    attributes = {
        semconv.BLOCK_INDEX: index,
        semconv.BLOCK_TYPE: block_type,
        semconv.BLOCK_START: start,
        semconv.BLOCK_DURATION: duration,
        semconv.BLOCK_CHARS: chars,
        semconv.BLOCK_CHUNK_COUNT: 4,
        semconv.BLOCK_COMPLETE: complete,
    }
    return StreamEvent(semconv.EVENT_CONTENT_BLOCK, start + duration, attributes)


def tool_call(name: str, at: float, *, complete: bool) -> StreamEvent:
    return StreamEvent(semconv.EVENT_TOOL_CALL, at, {semconv.TOOL_NAME: name, semconv.TOOL_CALL_COMPLETE: complete})


STOPPED = FinishedStream(
    name="chat claude-sonnet-5-5",
    duration=2.0,
    status="UNSET",
    attributes={
        semconv.OUTCOME: "aborted",
        semconv.ABORT_REASON: "closed",
        semconv.ABORT_TOOL_CALLS_COMPLETED: 1,
        semconv.PHASE: "tool_input",
        semconv.RESPONSE_TIME_TO_FIRST_CHUNK: 0.5,
        semconv.USAGE_INPUT_TOKENS: 412,
        semconv.THINKING_CHARS: 40,
        semconv.TEXT_CHARS: 29,
        semconv.TOOL_INPUT_CHARS: 119,
        semconv.TOOL_CALL_COUNT: 2,
        semconv.TOOL_CALL_INCOMPLETE: 1,
        semconv.TOOL_CALL_INVALID_JSON: 0,
        semconv.HTTP_RESPONSE_STATUS_CODE: 200,
    },
    events=[
        block(0, "thinking", 0.5, 0.3, 40, complete=True),
        block(1, "text", 0.8, 0.2, 29, complete=True),
        block(2, "tool_use", 1.1, 0.5, 95, complete=True),
        tool_call("send_email", 1.6, complete=True),
        block(3, "tool_use", 1.8, 0.2, 24, complete=False),
        tool_call("send_email", 2.0, complete=False),
        StreamEvent(semconv.EVENT_ABORT, 2.0, {semconv.ABORT_REASON: "closed"}),
    ],
)
LOOPED = FinishedStream(
    name="chat claude-sonnet-5-5",
    duration=2.0,
    status="UNSET",
    attributes={
        semconv.OUTCOME: "complete",
        semconv.STOP_REASON: "max_tokens",
        semconv.RESPONSE_TIME_TO_FIRST_CHUNK: 0.5,
        semconv.USAGE_OUTPUT_TOKENS: 212,
        semconv.TEXT_CHARS: 600,
        semconv.REPETITION_DETECTED: True,
        semconv.REPETITION_CHANNEL: "text",
        semconv.REPETITION_START: 140,
        semconv.REPETITION_PERIOD: 100,
        semconv.REPETITION_COUNT: 4,
        semconv.REPETITION_CHARS: 460,
        semconv.REPETITION_TIME: 1.0,
        semconv.REPETITION_RECOVERED: False,
    },
    events=[
        StreamEvent(
            semconv.EVENT_REPETITION,
            1.5,
            {semconv.REPETITION_CHANNEL: "text", semconv.REPETITION_START: 140, semconv.REPETITION_TIME: 0.6},
        ),
        block(0, "text", 0.5, 1.5, 600, complete=True),
    ],
)
FROZEN = FinishedStream(
    name="chat claude-sonnet-5-5",
    duration=4.0,
    status="UNSET",
    attributes={semconv.OUTCOME: "complete", semconv.STALL_COUNT: 2, semconv.STALL_TIME: 2.0},
    events=[
        StreamEvent(semconv.EVENT_STALL, 2.0, {semconv.OFFSET: 1.0, semconv.STALL_GAP: 1.0}),
        block(0, "text", 0.5, 2.0, 60, complete=True),
        StreamEvent(semconv.EVENT_STALL, 3.5, {semconv.OFFSET: 2.5, semconv.STALL_GAP: 1.0}),
        block(1, "text", 3.5, 0.5, 20, complete=True),
    ],
)
REFUSED = FinishedStream(
    name="chat claude-sonnet-5-5",
    duration=0.2,
    status="ERROR",
    attributes={
        semconv.OUTCOME: "error",
        semconv.ERROR_TYPE: "invalid_request_error",
        semconv.PHASE: "opening",
        semconv.HTTP_RESPONSE_STATUS_CODE: 400,
    },
    events=[],
)

FELL_BACK = FinishedStream(
    name="chat claude-sonnet-5-5",
    duration=2.0,
    status="UNSET",
    attributes={
        semconv.OUTCOME: "complete",
        semconv.FALLBACK_FROM: "claude-a",
        semconv.FALLBACK_TO: "claude-b",
        semconv.FALLBACK_TRIGGER: "refusal",
        semconv.REFUSAL_CATEGORY: "cyber",
    },
    events=[
        block(0, "thinking", 0.5, 0.3, 40, complete=True),
        StreamEvent(semconv.EVENT_FALLBACK, 1.0, {semconv.FALLBACK_TO: "claude-b"}),
        block(1, "fallback", 1.0, 0.0, 0, complete=True),
        block(2, "text", 1.2, 0.5, 20, complete=True),
        StreamEvent(semconv.EVENT_REFUSAL, 1.75, {semconv.REFUSAL_CATEGORY: "cyber"}),
    ],
)

NAMES = [value for name, value in vars(semconv).items() if name.isupper() and isinstance(value, str)]
ANY_VALUE: st.SearchStrategy[AttributeValue] = st.one_of(
    st.text(), st.booleans(), st.floats(), st.integers(-(2**63), 2**63 - 1), st.lists(st.text(), max_size=2)
)
ANY_ATTRIBUTES = st.dictionaries(st.sampled_from(NAMES), ANY_VALUE, max_size=8)
ANY_EVENT_ATTRIBUTES = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(
        [
            semconv.BLOCK_START,
            semconv.BLOCK_DURATION,
            semconv.BLOCK_TYPE,
            semconv.OFFSET,
            semconv.STALL_GAP,
            semconv.STALL_WAITED_FOR,
            semconv.STALL_KEEPALIVES,
            semconv.STALL_RELEASED,
            semconv.REPETITION_TIME,
            semconv.TOOL_NAME,
        ],
        ANY_VALUE,
    ),
)
DRAWN_EVENTS = [
    semconv.EVENT_CONTENT_BLOCK,
    semconv.EVENT_STALL,
    semconv.EVENT_REPETITION,
    semconv.EVENT_TOOL_CALL,
    semconv.EVENT_REFUSAL,
    semconv.EVENT_FALLBACK,
]
ANY_NS = st.integers(0, 2**64 - 1)
ANY_STREAM = st.builds(
    finished_stream,
    st.text(),
    st.tuples(ANY_NS, ANY_NS),
    st.just("UNSET"),
    ANY_ATTRIBUTES,
    st.lists(st.tuples(st.sampled_from(DRAWN_EVENTS), ANY_NS, ANY_EVENT_ATTRIBUTES), max_size=4),
)

STOPPED_IN_UNICODE = """\
stop  ABORTED, closed, in phase tool_input, after 1 completed tool call,
1 incomplete tool call
The user presses Stop.
             │0          │0.5        │1          │1.5        │2 s
waiting      ░░░░░░░░░░░░◆ first chunk                                    0.50 s
thinking                 ▒▒▒▒▒▒▒                                 0.30 s    40 ch
text                            █████                            0.20 s    29 ch
send_email                             ▓▓▓▓▓▓▓▓▓▓▓▓✓             0.50 s    95 ch
send_email                                   incomplete ▓▓▓▓▓✗   0.20 s    24 ch
end                                                   closed ■            2.00 s
first chunk 0.50 s · tokens 412 in
chars 29 text + 40 thinking + 119 tool input
tool calls 1 completed, 1 incomplete · HTTP 200
"""
STOPPED_IN_ASCII = """\
stop  ABORTED, closed, in phase tool_input, after 1 completed tool call,
1 incomplete tool call
The user presses Stop.
             |0          |0.5        |1          |1.5        |2 s
waiting      ............* first chunk                                    0.50 s
thinking                 ~~~~~~~                                 0.30 s    40 ch
text                            #####                            0.20 s    29 ch
send_email                             ============v             0.50 s    95 ch
send_email                                   incomplete =====x   0.20 s    24 ch
end                                                   closed !            2.00 s
first chunk 0.50 s | tokens 412 in
chars 29 text + 40 thinking + 119 tool input
tool calls 1 completed, 1 incomplete | HTTP 200
"""
REFUSED_DRAWN = """\
bad-request  ERROR, invalid_request_error, in phase opening
HTTP 400.
             │0          │0.05       │0.1        │0.15       │0.2 s
waiting      ░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░
end                                                    error ■            0.20 s
HTTP 400
"""
NOT_OBSERVED = """\
raw  NOT OBSERVED
Read as bytes.
             │0          │0.05       │0.1        │0.15       │0.2 s
end                                             not observed ■            0.20 s
"""


def stalled(**attributes: AttributeValue) -> FinishedStream:
    """A stream whose one block has a stall from second 1 to second 3 that says this."""
    names = {
        "waited_for": semconv.STALL_WAITED_FOR,
        "keepalives": semconv.STALL_KEEPALIVES,
        "released": semconv.STALL_RELEASED,
    }
    said = {names[name]: value for name, value in attributes.items()}
    stall = StreamEvent(semconv.EVENT_STALL, 3.0, {semconv.OFFSET: 1.0, semconv.STALL_GAP: 2.0, **said})
    return replace(
        FROZEN, attributes={semconv.OUTCOME: "complete"}, events=[stall, block(0, "text", 0.5, 3.0, 60, complete=True)]
    )


def drawn(drawing: RenderableType, *, width: int = 80, encoding: str = "utf-8", no_color: bool | None = None) -> str:
    """What a console of this width and encoding writes; a terminal, if `no_color` is given."""
    written = io.BytesIO()
    file = io.TextIOWrapper(written, encoding)
    is_terminal = no_color is not None
    colours = "standard" if is_terminal else None
    console = Console(file=file, width=width, force_terminal=is_terminal, color_system=colours, no_color=no_color)
    console.print(drawing)
    file.flush()
    return written.getvalue().decode(encoding)


def bars(stream: FinishedStream, label: str, *, width: int = 80, encoding: str = "ascii") -> list[str]:
    """The rows of this label in the chart, each from the axis on and without its measure."""
    text = drawn(Waterfall("", "", stream), width=width, encoding=encoding)
    chart = (line[:13] + line[13 : width - 18].rstrip() for line in text.splitlines())
    return [line[13:] for line in chart if line[:13].rstrip() == label]


def test_stream_at_80_columns() -> None:
    """A stream is its outcome, an axis, a row for each wait, block and end, and the facts."""
    text = drawn(Waterfall("stop", "The user presses Stop.", STOPPED))

    assert text == STOPPED_IN_UNICODE


def test_stream_that_never_opened() -> None:
    """A stream that never opened is drawn as one wait, with its error."""
    text = drawn(Waterfall("bad-request", "HTTP 400.", REFUSED))

    assert text == REFUSED_DRAWN


def test_loop_is_seen_from_where_it_began() -> None:
    """The bar changes where the loop began, and stays so to its end if the stream never left the loop."""
    in_unicode = bars(LOOPED, "text", encoding="utf-8")
    in_ascii = bars(LOOPED, "text")

    assert in_unicode == ["            ██████████▚▚▚▚▚ loop, 4 times ▚▚▚▚▚▚"]
    assert in_ascii == ["            ##########%%%%% loop, 4 times %%%%%%"]


def test_loop_that_was_left_ends() -> None:
    """A loop that the stream left is drawn as long as it was."""
    left = replace(LOOPED, attributes={**LOOPED.attributes, semconv.REPETITION_RECOVERED: True})

    assert bars(left, "text") == ["            ##########%%%% loop, 4 times %%%%%##"]
    assert "looped from char 140" in drawn(Waterfall("loops", "It is left.", left))


def test_silence_is_seen_where_it_froze() -> None:
    """A stall inside a block is a hole in its bar; one between two blocks has a row of its own."""
    assert bars(FROZEN, "text", width=110) == [
        "          ##########-- froze 1.00 s ---##########",
        "                                                                    ##########",
    ]
    assert bars(FROZEN, "silence", width=110) == ["-- froze 1.00 s ---".rjust(68)]


@pytest.mark.parametrize(
    ("stream", "in_unicode", "in_ascii"),
    [
        (stalled(), "╌╌╌ froze 2.00 s ╌╌╌╌", "--- froze 2.00 s ----"),
        (stalled(waited_for="provider", keepalives=1), "froze 2.00 s, 1 ping", "froze 2.00 s, 1 ping"),
        (stalled(waited_for="provider", keepalives=12), "froze 2.00 s, 12 pings", "froze 2.00 s, 12 pings"),
        (stalled(waited_for="transit", released=65), "═ held back 2.00 s ═", ": held back 2.00 s :"),
        (stalled(waited_for="event_loop"), "┼ loop blocked 2.00 s ┼", "+ loop blocked 2.00 s +"),
        (stalled(waited_for="stranger", keepalives="many"), "╌ froze 2.00 s ╌", "- froze 2.00 s -"),
    ],
)
def test_stall_shows_who_was_waited_for(stream: FinishedStream, in_unicode: str, in_ascii: str) -> None:
    """A stall has the texture and the words of whom the reader waited for: the model, the way, its own event loop."""
    assert in_unicode in bars(stream, "text", width=100, encoding="utf-8")[0]
    assert in_ascii in bars(stream, "text", width=100)[0]


def test_label_is_the_longest_that_fits() -> None:
    """Where a stall's words have no room, its seconds are there; where these have none, its texture."""
    stream = stalled(waited_for="event_loop")

    assert [bars(stream, "text", width=width)[0].strip() for width in (80, 60, 46)] == [
        "######+ loop blocked 2.00 s ++######",
        "###+++ 2.00 s +++###",
        "##++++++##",
    ]


def test_what_came_between_two_silences_is_seen() -> None:
    """What was let go between two waits has a column, however quickly it came, and so has what came at the end."""
    waits = [
        StreamEvent(
            semconv.EVENT_STALL,
            offset + 1.0,
            {semconv.OFFSET: offset, semconv.STALL_GAP: 1.0, semconv.STALL_WAITED_FOR: "transit"},
        )
        for offset in (1.0, 2.0, 3.0)
    ]
    stream = replace(FROZEN, events=[*waits, block(0, "text", 1.0, 3.0, 60, complete=True)])

    assert bars(stream, "text") == ["            #: 1.00 s ::#: 1.00 s ::#: 1.00 s :#"]


@pytest.mark.parametrize(
    ("times", "row"),
    [
        ((0.3, 0.0, 0.0, 1.2), ["            -------_______ reader 1.20 s _______"]),
        ((0.2, 0.5, 0.5, 0.3), ["            -----::: way ::::++++++++++++_______"]),
        ((1.0, 0.4, 0.4, 0.4), []),
    ],
)
def test_shares_are_seen(times: tuple[float, ...], row: list[str]) -> None:
    """Where somebody else than the model was waited for, a row shows the share of each from the first chunk on."""
    names = (semconv.PROVIDER_TIME, semconv.TRANSIT_TIME, semconv.BLOCKED_TIME, semconv.CONSUMER_TIME)
    shared = replace(STOPPED, attributes={**STOPPED.attributes, **dict(zip(names, times, strict=True))})

    assert bars(shared, "waited for") == row


def test_textures_have_a_legend() -> None:
    """Where more than one was waited for, a line says which texture stands for whom; else there is none."""
    times: dict[str, AttributeValue] = {semconv.TRANSIT_TIME: 0.6, semconv.CONSUMER_TIME: 0.9}
    both = replace(STOPPED, attributes={**STOPPED.attributes, **times})

    assert "waited for : way | _ reader" in drawn(Waterfall("", "", both), encoding="ascii").splitlines()
    assert "waited for ═ way · ▁ reader" in drawn(Waterfall("", "", both)).splitlines()
    assert not [line for line in drawn(Waterfall("", "", stalled())).splitlines() if line.startswith("waited for")]


def test_refusal_and_fallback_are_seen() -> None:
    """Where the model refused or another went on there is a mark with its word, but no empty block."""
    assert bars(FELL_BACK, "fallback", encoding="utf-8") == ["→ claude-b".rjust(34)]
    assert bars(FELL_BACK, "fallback") == ["> claude-b".rjust(34)]
    assert bars(FELL_BACK, "refusal") == ["x cyber".rjust(49)]


def test_bar_begins_with_the_first_chunk() -> None:
    """A block that is announced before anything has come is drawn from the first chunk on."""
    early = replace(LOOPED, attributes={semconv.OUTCOME: "complete", semconv.RESPONSE_TIME_TO_FIRST_CHUNK: 1.0})

    assert bars(early, "waiting") == ["." * 24 + "* first chunk"]
    assert bars(early, "text") == [" " * 24 + "#" * 24]


def test_burst_is_seen() -> None:
    """What a proxy held back is one column, with a note."""
    burst = replace(
        LOOPED,
        attributes={semconv.OUTCOME: "complete", semconv.BUFFERED: True, semconv.RESPONSE_TIME_TO_FIRST_CHUNK: 1.99},
        events=[block(0, "text", 1.99, 0.002, 600, complete=True)],
    )

    assert bars(burst, "text") == ["all at once #".rjust(49)]


def test_ascii() -> None:
    """An output that has ASCII only gets a drawing in ASCII, of the same shape."""
    text = drawn(Waterfall("stop", "The user presses Stop.", STOPPED), encoding="ascii")

    assert text == STOPPED_IN_ASCII


@given(ANY_STREAM)
def test_whatever_a_span_says_is_drawn(stream: FinishedStream) -> None:
    """A span may say what cannot be, or what would command the terminal: it is drawn, within the width."""
    lines = drawn(Waterfall("any", "Whatever.", stream)).split("\n")

    assert [line for line in lines if not line.isprintable()] == []
    assert max(map(len, lines)) <= 80


def test_word_from_a_stranger_cannot_command_the_terminal() -> None:
    """What would move the cursor, ring or turn the text round is written out; a long word is cut."""
    escapes = printable("\x1b[2J\x1b]0;title\x07\r\n\x9b31m\u202egnp.exe\u200b")

    assert escapes == r"\x1b[2J\x1b]0;title\x07\r\n\x9b31m\u202egnp.exe\u200b"
    assert printable("Grüße, 世界 🙂") == "Grüße, 世界 🙂"
    assert len(printable("a" * 10_000)) == 200


@pytest.mark.parametrize("width", [30, 40, 60, 80, 120, 200])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_no_line_is_too_long(width: int, encoding: str) -> None:
    """The drawing and the table keep to the width of the terminal."""
    drawings = [Waterfall("stop", "The user presses Stop.", STOPPED), Summary([("stop", STOPPED), ("bad", REFUSED)])]
    lengths = [len(line) for each in drawings for line in drawn(each, width=width, encoding=encoding).splitlines()]

    assert max(lengths) <= width


def test_colour_is_not_needed() -> None:
    """The same characters are drawn with and without colour."""
    drawing = Waterfall("stop", "The user presses Stop.", STOPPED)
    coloured = drawn(drawing, no_color=False)
    bare = drawn(drawing, no_color=True)

    assert re.search(r"\x1b\[[0-9;]*3[0-7]m", coloured)
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]m", bare)
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == drawn(drawing)


def test_unknown_is_left_out() -> None:
    """A stream of which nothing is known draws its duration, and makes nothing up."""
    text = drawn(Waterfall("raw", "Read as bytes.", replace(REFUSED, attributes={})))

    assert text == NOT_OBSERVED


@pytest.mark.parametrize(
    ("attributes", "fact"),
    [
        ({semconv.RESPONSE_TIME_TO_FIRST_CHUNK: 0.5, semconv.TIME_TO_FIRST_TEXT: 2.25}, "first text 2.25 s"),
        ({semconv.ABORT_CONNECTION_CLOSED: False}, "connection left open"),
        ({semconv.EVENTS_DROPPED: 3}, "events dropped 3"),
        ({semconv.PROVIDER_TIME: 1.25, semconv.CONSUMER_TIME: 0.05}, "waited for model 1.25 s, reader 50 ms"),
        ({semconv.TRANSIT_TIME: 2.0, semconv.BLOCKED_TIME: 0.3}, "waited for way 2.00 s, event loop 0.30 s"),
        ({semconv.TRANSIT_TIME: 0.0, semconv.CONSUMER_TIME: 0.0}, "waited for reader 0 ms"),
        (
            {semconv.REBUFFER_RATIO: 0.2, semconv.REBUFFER_TIME: 1.5, semconv.REBUFFER_COUNT: 2},
            "a person who reads along waits 2x 1.50 s",
        ),
        ({semconv.FALLBACK_FROM: "claude-a", semconv.FALLBACK_TRIGGER: "refusal"}, "fell back from claude-a (refusal)"),
        ({semconv.FALLBACK_TRIGGER: "second_message"}, "fell back (second_message)"),
        ({semconv.CHUNK_GAP_P50: 0.02, semconv.CHUNK_GAP_MAX: 6.0}, "gap p50 20 ms, max 6.00 s"),
        ({semconv.TIME_PER_OUTPUT_TOKEN: 0.0125}, "per token 12 ms"),
        ({semconv.TOOL_CALL_PAUSE: 3.0}, "pause before a tool call 3.00 s"),
        ({semconv.USAGE_OUTPUT_TOKENS: 20}, "tokens 20 out"),
        (
            {semconv.TOOL_CALL_COUNT: 3, semconv.TOOL_CALL_INCOMPLETE: 1, semconv.TOOL_CALL_INVALID_JSON: 1},
            "tool calls 1 completed, 1 incomplete, 1 invalid JSON",
        ),
    ],
)
def test_fact_is_told(attributes: dict[str, AttributeValue], fact: str) -> None:
    """What matters of a stream is told in words."""
    assert list(facts(replace(REFUSED, attributes=attributes)))[-1] == fact


@pytest.mark.parametrize(
    ("stream", "fact"),
    [
        (stalled(waited_for="provider", keepalives=4), "pings while it froze 4"),
        (stalled(waited_for="transit", keepalives=4, released=65), "up to 65 chunks at once"),
    ],
)
def test_what_a_wait_ended_with_is_told(stream: FinishedStream, fact: str) -> None:
    """A model that froze has the pings that came meanwhile; what was held back has how much came at once."""
    assert list(facts(stream))[-1] == fact


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ({semconv.STALL_COUNT: 2, semconv.STALL_TIME: 12.5}, "stalled 2x 12.50 s"),
        ({semconv.STALL_COUNT: 0, semconv.STALL_TIME: 0.0, semconv.REPETITION_DETECTED: False}, ""),
        ({semconv.REPETITION_DETECTED: True, semconv.REPETITION_START: 84}, "looping from char 84"),
        (
            {
                semconv.REPETITION_DETECTED: True,
                semconv.REPETITION_KIND: "tool_call",
                semconv.REPETITION_CHANNEL: "tool_input",
                semconv.REPETITION_START: 0,
                semconv.REPETITION_COUNT: 25,
            },
            "same tool call 25x",
        ),
        ({semconv.BUFFERED: True}, "buffered"),
        ({semconv.ABORT_TOOL_CALLS_COMPLETED: 2}, "after 2 completed tool calls"),
        ({semconv.ABORT_TOOL_CALLS_COMPLETED: 0, semconv.TOOL_CALL_INCOMPLETE: 0}, ""),
        ({semconv.TOOL_CALL_INCOMPLETE: 1}, "1 incomplete tool call"),
        ({semconv.TOOL_CALL_INVALID_JSON: 3}, "3 invalid tool calls"),
        ({semconv.HTTP_REQUEST_RESEND_COUNT: 2}, "retried 2x"),
        ({semconv.STOP_REASON: "content_filter"}, "content_filter, refused"),
        ({semconv.TRANSIT_TIME: 1.5}, "held back 1.50 s"),
        ({semconv.TRANSIT_TIME: 0.4, semconv.BLOCKED_TIME: 0.4}, ""),
        ({semconv.BLOCKED_TIME: 3.0}, "loop blocked 3.00 s"),
        ({semconv.REBUFFER_RATIO: 0.06}, "slower than reading"),
        ({semconv.REBUFFER_RATIO: 0.05}, ""),
        ({semconv.REFUSAL_CATEGORY: "cyber"}, "refused (cyber)"),
        ({semconv.STOP_REASON: "refusal"}, "refusal, refused"),
        ({semconv.FALLBACK_TRIGGER: "refusal", semconv.FALLBACK_TO: "claude-b"}, "fell back to claude-b"),
        ({semconv.FALLBACK_TRIGGER: "refusal"}, "fell back to another model"),
        ({semconv.PROVIDER_TIME: 1.0, semconv.CONSUMER_TIME: 1.5}, "slow reader"),
        ({semconv.PROVIDER_TIME: 2.0, semconv.CONSUMER_TIME: 1.5}, ""),
        ({semconv.TRANSIT_TIME: 0.4, semconv.BLOCKED_TIME: 0.4, semconv.CONSUMER_TIME: 0.7}, ""),
        ({semconv.PROVIDER_TIME: 0.001, semconv.CONSUMER_TIME: 0.002}, ""),
    ],
)
def test_headline_says_what_happened_inside(attributes: dict[str, AttributeValue], words: str) -> None:
    """The headline has a word for each finding, and none for what was not found."""
    told = headline(replace(REFUSED, attributes=attributes))

    assert told == ", ".join(filter(None, ["NOT OBSERVED", words]))


def test_summary() -> None:
    """The table has a line for each stream; what is not known is blank."""
    text = drawn(Summary([("stop", STOPPED), ("loops", LOOPED), ("bad-request", REFUSED)]), width=120)

    assert [re.split(r"\s{2,}", line.strip()) for line in text.splitlines()[3:]] == [
        ["stop", "aborted", "0.50 s", "2.00 s", "tool call before abort, incomplete tool call"],
        ["loops", "complete", "0.50 s", "2.00 s", "212", "max_tokens", "loop"],
        ["bad-request", "error", "0.20 s"],
    ]


@pytest.mark.parametrize(
    ("width", "header"),
    [
        (100, ["first", "tokens", "stop", "stream", "outcome", "chunk", "duration", "out", "reason", "inside"]),
        (70, ["first", "stop", "stream", "outcome", "chunk", "duration", "reason", "inside"]),
        (60, ["stop", "stream", "outcome", "duration", "reason", "inside"]),
        (50, ["stream", "outcome", "duration", "inside"]),
    ],
)
def test_narrow_summary(width: int, header: list[str]) -> None:
    """Where a terminal is narrow whole columns are left out; no word of the header and no finding is broken."""
    lines = drawn(Summary([("stop", STOPPED), ("loops", LOOPED)]), width=width).splitlines()
    words = " ".join(lines).split()

    assert [word for line in lines if "─" not in line for word in line.split()][: len(header)] == header
    assert {"before", "incomplete", "loop"} <= set(words)


@pytest.mark.parametrize(
    ("outcome", "inside", "style"),
    [
        ("complete", {}, "bold green"),
        ("complete", {semconv.STALL_COUNT: 1}, "bold yellow"),
        ("error", {semconv.STALL_COUNT: 1}, "bold red"),
    ],
)
def test_headline_is_green_where_all_is_well(outcome: str, inside: dict[str, AttributeValue], style: str) -> None:
    """A stream that is complete is no good one where something was found inside."""
    assert headline_style(replace(REFUSED, attributes={semconv.OUTCOME: outcome, **inside})) == style


@pytest.mark.parametrize(
    ("end", "drawn_axis"),
    [
        (2.0, "|0        |0.5      |1        |1.5      |2 s"),
        (0.003, "|0           |0.001        |0.002       |0.003 s"),
        (7200.0, "|0         |2000      |4000      |6000 s"),
    ],
)
def test_axis_has_round_ticks(end: float, drawn_axis: str) -> None:
    """The ticks are round numbers of seconds, five steps at the most."""
    assert axis(end, 40 / end, "|") == drawn_axis

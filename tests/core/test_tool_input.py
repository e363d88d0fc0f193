"""The scanner of tool input against `json.loads`, which reads the whole text at once and knows nothing of pieces."""

import json
import tracemalloc
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamspan.core.tool_input import ToolInput, Verdict

MIB = 1024 * 1024
MEMORY_AT_MOST = 64 * 1024
DEPTH_AT_MOST = 1000

BLANKS = st.text(alphabet=" \t\n\r", max_size=3)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.sampled_from(["", "é", "😀", '"', "\\", "\\u0041", "\x00", "\u2028", "\ud83d", "{}", "[1,"])
)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=12)


@st.composite
def json_texts(draw: st.DrawFn) -> str:
    """A JSON value, written in one of the many ways in which it can be written."""
    separators = (draw(BLANKS) + "," + draw(BLANKS), draw(BLANKS) + ":" + draw(BLANKS))
    indent = draw(st.none() | st.integers(0, 3))
    text = json.dumps(draw(VALUES), separators=separators, indent=indent, ensure_ascii=draw(st.booleans()))
    return draw(BLANKS) + text + draw(BLANKS)


@st.composite
def damaged_json_texts(draw: st.DrawFn) -> str:
    """A JSON text in which a few pieces were replaced, doubled or left out; some are still JSON."""
    text = draw(json_texts())
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(text)))
        end = draw(st.integers(start, min(start + 3, len(text))))
        inserted = draw(st.text(alphabet='{}[]":,\\/ \n\t\x1f0123456789+-.eEtrufalsn\u00a0NI', max_size=3))
        text = text[:start] + draw(st.sampled_from([inserted, text[start:end] * 2, ""])) + text[end:]
    return text


@st.composite
def cut_anywhere(draw: st.DrawFn, texts: st.SearchStrategy[str]) -> list[str]:
    """A text in pieces, some of them empty."""
    text = draw(texts)
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=12)))
    return [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]


def verdict(pieces: Iterable[str]) -> Verdict:
    tool_input = ToolInput()
    for piece in pieces:
        tool_input.feed(piece)
    return tool_input.verdict()


def is_json(text: str) -> bool:
    """Strictly: `json.loads` alone takes NaN and Infinity, which RFC 8259 does not have."""
    try:
        json.loads(text, parse_constant=_refused)
    except ValueError:
        return False
    return True


def _refused(constant: str) -> None:
    raise ValueError(constant)


@given(cut_anywhere(json_texts()))
def test_every_json_text_is_complete(pieces: list[str]) -> None:
    """Any JSON value, however it is written and into whatever pieces it is cut, is complete."""
    assert verdict(pieces) == "complete"


@given(st.data())
def test_every_start_of_an_enclosed_value_is_unfinished(data: st.DataObject) -> None:
    """An object, an array or a string is unfinished until its last char; so is a text of blanks only."""
    value = data.draw(st.dictionaries(st.text(), VALUES) | st.lists(VALUES) | st.text())
    text = data.draw(BLANKS) + json.dumps(value, ensure_ascii=data.draw(st.booleans()))
    end = data.draw(st.integers(1, len(text) - 1))

    pieces = data.draw(cut_anywhere(st.just(text[:end])))

    assert verdict(pieces) == "unfinished"


@given(cut_anywhere(damaged_json_texts()))
def test_complete_is_what_json_loads_takes(pieces: list[str]) -> None:
    """A damaged text is complete where `json.loads` takes it, or where nothing is left of it."""
    text = "".join(pieces)

    assert (verdict(pieces) == "complete") == (text == "" or is_json(text))


@given(damaged_json_texts(), st.data())
def test_the_cuts_do_not_matter(text: str, data: st.DataObject) -> None:
    """The verdict on a text is the same in one piece, in single chars, and in any pieces."""
    pieces = data.draw(cut_anywhere(st.just(text)))

    assert {verdict(pieces), verdict(text)} == {verdict([text])}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "complete"),
        (" ", "unfinished"),
        ("{}", "complete"),
        (" {} \r\n", "complete"),
        ("{", "unfinished"),
        ("{} {}", "invalid"),
        ("}", "invalid"),
        ('{"days": [1, 2}}', "invalid"),
        ('{"days": [1, 2}', "invalid"),
        ('{"days": [1, 2]}', "complete"),
        ('{"city": Rome}', "invalid"),
        ('{"city": R', "invalid"),
        ('{"city": "Rome', "unfinished"),
        ('{"city": "Rome"', "unfinished"),
        ('{"city"', "unfinished"),
        ('{"city":', "unfinished"),
        ('{"city" "Rome"}', "invalid"),
        ("{city: 1}", "invalid"),
        ("{'city': 1}", "invalid"),
        ('{"a": 1,}', "invalid"),
        ('{"a": 1,', "unfinished"),
        ("[1,]", "invalid"),
        ("[,1]", "invalid"),
        ("[1 2]", "invalid"),
        ("[1}", "invalid"),
        ("{1: 2}", "invalid"),
        ('{"a": 1]', "invalid"),
        ('{"a": tr', "unfinished"),
        ('{"a": tr}', "invalid"),
        ('{"a": True}', "invalid"),
        ('{"a": nul', "unfinished"),
        ("[NaN]", "invalid"),
        ("[Infinity]", "invalid"),
        ("[-Infinity]", "invalid"),
        ("[01]", "invalid"),
        ("[+1]", "invalid"),
        ("[.5]", "invalid"),
        ("[1.]", "invalid"),
        ("[0x1]", "invalid"),
        ("[-", "unfinished"),
        ("[1.", "unfinished"),
        ("[1e", "unfinished"),
        ("[1e+", "unfinished"),
        ("[12", "unfinished"),
        ("12", "complete"),
        ("-", "unfinished"),
        ("12 ", "complete"),
        ("12,", "invalid"),
        ("true", "complete"),
        ("tru", "unfinished"),
        ("truth", "invalid"),
        ('"a\nb"', "invalid"),
        ('"a\x7fb"', "complete"),
        (r'"\x"', "invalid"),
        (r'"\u12g4"', "invalid"),
        (r'"\ud83d"', "complete"),
        ("\ufeff{}", "invalid"),
        ("\u00a0{}", "invalid"),
        ("// {}", "invalid"),
    ],
)
def test_verdicts(text: str, expected: Verdict) -> None:
    """The verdict is the one of RFC 8259, in one piece and in single chars."""
    assert (verdict([text]), verdict(text)) == (expected, expected)


@pytest.mark.parametrize("escape", [r"\n", r"\\", r"\"", r"\/", r"\u00e9", r"\ud83d\ude00"])
def test_half_an_escape_is_no_error(escape: str) -> None:
    """An escape may be cut at any char: unfinished where the text ends there, complete once the rest has come."""
    text = f'{{"a": "{escape}"}}'
    cuts = range(len('{"a": "') + 1, len('{"a": "') + len(escape))

    assert {verdict([text[:cut]]) for cut in cuts} == {"unfinished"}
    assert {verdict([text[:cut], text[cut:]]) for cut in cuts} == {"complete"}


def test_chars_are_code_points() -> None:
    """`chars` counts every code point that was fed, of valid and of invalid text."""
    tool_input = ToolInput()
    for piece in ('{"é": "', "", "😀", '"}', "}", "x" * 10_000):
        tool_input.feed(piece)

    assert tool_input.chars == 10_011


@pytest.mark.parametrize(
    ("depth", "expected"), [(1, "complete"), (DEPTH_AT_MOST, "complete"), (DEPTH_AT_MOST + 1, "invalid")]
)
def test_nesting(depth: int, expected: Verdict) -> None:
    """Nested a thousand deep is read, deeper is refused; neither needs recursion."""
    text = "[" * (depth - 1) + "{}" + "]" * (depth - 1)

    assert (verdict([text]), verdict(text)) == (expected, expected)


@pytest.mark.parametrize("depth", [DEPTH_AT_MOST + 1, 1_000_000])
def test_open_brackets_alone_are_refused(depth: int) -> None:
    """Brackets without end are invalid as soon as they are too deep."""
    assert verdict(["[" * depth]) == "invalid"


@pytest.mark.parametrize(
    ("piece", "start", "end", "expected"),
    [
        pytest.param("x" * 1000, '{"text": "', '"}', "complete", id="a string"),
        pytest.param(r"\u00e9\n" * 125, '{"text": "', '"}', "complete", id="escapes"),
        pytest.param(" " * 1000, "[", "]", "complete", id="blanks"),
        pytest.param('{"a": [1.5, true, "' + "x" * 1000 + '"]}, ', "[", "1]", "complete", id="values"),
        pytest.param("x" * 1000, '{"text": "', '"', "unfinished", id="a cut string"),
        pytest.param("x" * 1000, "x", "", "invalid", id="no JSON"),
        pytest.param("[" * 1000, "", "", "invalid", id="brackets"),
        pytest.param("1" * 1000, "", ".x", "invalid", id="a number without end"),
    ],
)
def test_memory_does_not_grow_with_the_input(piece: str, start: str, end: str, expected: Verdict) -> None:
    """What is held between two pieces is no more after ten million chars than after a few thousand."""
    tool_input = ToolInput()
    tracemalloc.start()
    tool_input.feed(start)
    for _ in range(10 * MIB // len(piece)):
        tool_input.feed(piece)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    tool_input.feed(end)

    assert held < MEMORY_AT_MOST
    assert tool_input.verdict() == expected


def verdict_of(*pieces: str) -> Verdict:
    tool_input = ToolInput()
    for piece in pieces:
        tool_input.feed(piece)
    return tool_input.verdict()


@pytest.mark.parametrize(
    "pieces", [(" " * 4095 + "1",), ('{"a": [1,' + " " * 5000 + "2", "]}"), ("[" + " " * 5000 + "t", "rue]")]
)
def test_blanks_are_not_part_of_a_cut_token(pieces: tuple[str, ...]) -> None:
    """Blanks before a token that is cut count for nothing, however many they are."""
    assert verdict_of(*pieces) == "complete"


def test_a_number_without_end_is_none() -> None:
    """A number of 4096 digits or more is invalid, wherever it is cut."""
    assert verdict_of("[", "1" * 4200, "]") == verdict_of("[" + "1" * 4200 + "]") == "invalid"


@pytest.mark.parametrize("text", ["[1.e", "[1.e+", "[-0.E", "1.e-"])
def test_an_exponent_follows_no_bare_point(text: str) -> None:
    """No text that follows makes these JSON."""
    assert verdict_of(text) == "invalid"


def test_empty_pieces_hold_nothing() -> None:
    """The API's first piece of an input is empty; any number of such pieces takes no memory."""
    tool_input = ToolInput()
    tracemalloc.start()
    for _ in range(100_000):
        tool_input.feed("")
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert held < MEMORY_AT_MOST


@pytest.mark.parametrize("pieces", [[r"\n" * 500_000], [r"\n" * 2048] * 10], ids=["one", "many"])
def test_escapes_take_no_memory(pieces: list[str]) -> None:
    """A string of escapes is scanned in the same memory as any other, but for the text itself."""
    tool_input = ToolInput()
    tool_input.feed('"')
    tracemalloc.start()
    for piece in pieces:
        tool_input.feed(piece)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < MEMORY_AT_MOST + 4 * max(map(len, pieces))

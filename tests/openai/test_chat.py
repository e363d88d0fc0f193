"""What a span says of a stream of Chat Completions, as OpenAI and the servers of others send them."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from tests.openai.chunks import (
    DONE,
    HELLO,
    ID,
    MODEL,
    USAGE,
    WEATHER,
    call,
    chunk,
    delta,
    finish,
    frame,
    role,
    text,
    usage,
)
from tests.openai.reading import CREATED, WAYS, OneStream, Way, blocks, calls, sync_client
from tests.stainless.spans import attributes

Told = list[tuple[object, ...]]
TEXT: Told = [("text", 5, True)]
ONE_CALL: Told = [("weather", "call_1", 16, True)]

TOOL_CALLS: Mapping[str, tuple[Sequence[bytes], Told]] = {
    "in pieces": ([call("", "weather", "call_1", index=0), *(call(part, index=0) for part in WEATHER)], ONE_CALL),
    "whole in one chunk": ([call("".join(WEATHER), "weather", "call_1", index=0)], ONE_CALL),
    "whole, with the finish reason": (
        [
            delta(
                0,
                "tool_calls",
                tool_calls=[
                    {"index": 0, "id": "call_1", "function": {"name": "weather", "arguments": "".join(WEATHER)}}
                ],
            )
        ],
        ONE_CALL,
    ),
    "name and id in each piece": ([call(part, "weather", "call_1", index=0) for part in WEATHER], ONE_CALL),
    "an empty name in each further piece": (
        [call("", "weather", "call_1", index=0), *(call(part, "", index=0) for part in WEATHER)],
        ONE_CALL,
    ),
    "no input": ([call("", "now", "call_1", index=0), call("", index=0)], [("now", "call_1", 0, True)]),
    "no arguments at all": ([call(None, "now", "call_1", index=0)], [("now", "call_1", 0, True)]),
    "two after each other": (
        [
            *(call(part, "weather", "call_1", index=0) for part in WEATHER),
            *(call(part, "weather", "call_2", index=1) for part in WEATHER),
        ],
        [*ONE_CALL, ("weather", "call_2", 16, True)],
    ),
    "two side by side": (
        [
            call("", "weather", "call_1", index=0),
            call("", "weather", "call_2", index=1),
            *(piece for part in WEATHER for piece in (call(part, index=0), call(part, index=1))),
        ],
        [*ONE_CALL, ("weather", "call_2", 16, True)],
    ),
    "another id at the same index": (
        [
            *(call(part, "weather", "call_1", index=0) for part in WEATHER),
            *(call(part, "weather", "call_2", index=0) for part in WEATHER),
        ],
        [*ONE_CALL, ("weather", "call_2", 16, True)],
    ),
    "no id at all": (
        [call("", "weather", index=0), *(call(part, index=0) for part in WEATHER)],
        [("weather", None, 16, True)],
    ),
    "the legacy function": (
        [
            delta(function_call={"name": "weather", "arguments": ""}),
            *(delta(function_call={"arguments": part}) for part in WEATHER),
        ],
        [("weather", None, 16, True)],
    ),
    "a custom tool, whose input is no JSON": (
        [delta(tool_calls=[{"index": 0, "id": "c", "type": "custom", "custom": {"name": "sql", "input": "SELECT"}}])],
        [("sql", "c", 6, True)],
    ),
    "broken JSON": ([call('{"city": Oslo}', "weather", "call_1", index=0)], [("weather", "call_1", 14, False)]),
}
ONLY_CREATED: Mapping[str, tuple[Sequence[bytes], Told]] = {
    "from index 1": ([call("", "weather", "call_1", index=1), *(call(part, index=1) for part in WEATHER)], ONE_CALL),
    "an empty id in each further piece": (
        [call("", "weather", "call_1", index=0), *(call(part, call_id="", index=0) for part in WEATHER)],
        ONE_CALL,
    ),
    "arguments that are no text": (
        [call({"city": "Oslo"}, "weather", "call_1", index=0)],
        [("weather", "call_1", 15, True)],
    ),
    "whole, without an index": ([call("".join(WEATHER), "weather", "call_1")], ONE_CALL),
    "in pieces, without an index": ([call("", "weather", "call_1"), *(call(part) for part in WEATHER)], ONE_CALL),
    "two in one chunk, without an index": (
        [
            delta(
                tool_calls=[
                    {"id": call_id, "function": {"name": "weather", "arguments": "".join(WEATHER)}}
                    for call_id in ("call_1", "call_2")
                ]
            )
        ],
        [*ONE_CALL, ("weather", "call_2", 16, True)],
    ),
    "two, without an index and without ids": (
        [call("".join(WEATHER), "weather"), call("".join(WEATHER), "weather")],
        [("weather", None, 16, True)] * 2,
    ),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("body", "expected"), TOOL_CALLS.values(), ids=TOOL_CALLS)
def test_tool_calls(openai_app: OneStream, way: Way, body: Sequence[bytes], expected: Told) -> None:
    """Each tool call is told once, with its whole input, however the server cuts, numbers and names it."""
    assert calls(openai_app.span([role(), *body, finish("tool_calls"), DONE], way)) == expected


@pytest.mark.parametrize("way", CREATED)
@pytest.mark.parametrize(("body", "expected"), ONLY_CREATED.values(), ids=ONLY_CREATED)
def test_tool_calls_that_the_helper_fails_on(
    openai_app: OneStream, way: Way, body: Sequence[bytes], expected: Told
) -> None:
    """The SDK's helper fails on them; a plain stream brings them, and they are told apart by their ids and names."""
    assert calls(openai_app.span([role(), *body, finish("tool_calls"), DONE], way)) == expected


CONTENT: Mapping[str, tuple[Sequence[bytes], Told]] = {
    "text": ([text("Hel"), text("lo")], TEXT),
    "a refusal": ([delta(refusal="Sor"), delta(refusal="ry")], [("refusal", 5, True)]),
    "reasoning_content": (
        [delta(content=None, reasoning_content="Hmm"), delta(content=None, reasoning_content="..."), text("Hello")],
        [("reasoning", 6, True), *TEXT],
    ),
    "reasoning": (
        [delta(content="", reasoning="Hmm"), delta(content="", reasoning="..."), text("Hello")],
        [("reasoning", 6, True), *TEXT],
    ),
    "the same in both": (
        [delta(reasoning="Hmm", reasoning_content="Hmm"), delta(content="Hello", reasoning_content=None)],
        [("reasoning", 3, True), *TEXT],
    ),
    "reasoning and text in one chunk": (
        [delta(reasoning_content="Hmm", content="Hel"), delta(reasoning_content=None, content="lo")],
        [("reasoning", 3, True), *TEXT],
    ),
    "reasoning again in the midst of the text": (
        [text("Hel"), delta(content="lo", reasoning_content="Hmm"), text("Hello")],
        [("text", 3, True), ("reasoning", 3, True), ("text", 7, True)],
    ),
    "a message beside the delta": (
        [
            chunk(
                [{"index": 0, "delta": {"content": "Hello"}, "message": {"content": "Hello"}, "finish_reason": None}]
            ),
        ],
        TEXT,
    ),
    "no choices": ([chunk([]), text("Hello"), chunk([])], TEXT),
    "a text beside the delta": (
        [chunk([{"index": 0, "text": "Hello", "delta": {"content": "Hello", "token_id": 7}, "finish_reason": None}])],
        TEXT,
    ),
    "text, then a tool call": (
        [text("Hello"), call("{}", "now", "call_1", index=0)],
        [*TEXT, ("function", 2, True)],
    ),
    "a tool call, then text": (
        [call("{}", "now", "call_1", index=0), text("Hello")],
        [("function", 2, True), *TEXT],
    ),
    "ids that change": (
        [text("Hel"), frame({"id": "2", "model": "b", "choices": [{"index": 0, "delta": {"content": "lo"}}]})],
        TEXT,
    ),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("body", "expected"), CONTENT.values(), ids=CONTENT)
def test_content(openai_app: OneStream, way: Way, body: Sequence[bytes], expected: Told) -> None:
    """Deltas of one kind that follow each other are one block."""
    assert blocks(openai_app.span([role(), *body, finish(), DONE], way)) == expected


@pytest.mark.parametrize("way", CREATED)
def test_a_choice_without_a_delta(openai_app: OneStream, way: Way) -> None:
    """It brings nothing."""
    body = [role(), text("Hello"), chunk([{"index": 0, "finish_reason": None}]), finish(), DONE]

    assert blocks(openai_app.span(body, way)) == TEXT


@pytest.mark.parametrize("way", CREATED)
def test_content_that_is_a_list(openai_app: OneStream, way: Way) -> None:
    """Mistral sends parts, whose thoughts are parts again."""
    thought = [{"type": "thinking", "thinking": [{"type": "text", "text": "Hmm"}], "closed": True}]
    body = [delta(content=thought), delta(content=[{"type": "text", "text": "Hel"}]), text("lo")]

    assert blocks(openai_app.span([role(), *body, finish(), DONE], way)) == [("reasoning", 3, True), *TEXT]


def test_media_are_counted_and_not_held(openai_app: OneStream) -> None:
    """The size of audio and images is on the span; the transcript of audio is text."""
    image = {"type": "image_url", "image_url": {"url": "A" * 400}}
    body = [delta(audio={"id": "a", "data": "A" * 80}), delta(audio={"transcript": "Hello"}), delta(images=[image])]

    span = openai_app.span([role(), *body, finish(), DONE])

    assert blocks(span) == [("audio", 5, True), ("image", 0, True)]
    assert attributes(span)["llm_stream.media.size"] == 360
    assert attributes(span)["llm_stream.text.chars"] == 5


def test_the_details_of_reasoning_alone(openai_app: OneStream) -> None:
    """OpenRouter may send reasoning as a list of details only; what is encrypted has no content."""
    body = [
        delta(content="", reasoning_details=[{"type": "reasoning.summary", "summary": "Hmm"}]),
        delta(content="", reasoning_details=[{"type": "reasoning.text", "text": "..."}]),
        delta(content="", reasoning_details=[{"type": "reasoning.encrypted", "data": "x" * 99}]),
    ]

    assert blocks(openai_app.span([role(), *body, text("Hello"), finish(), DONE])) == [("reasoning", 6, True), *TEXT]


def test_a_whole_stream(openai_app: OneStream) -> None:
    """The span has the model, the id, the stop reason, the tier, the fingerprint and the usage."""
    more = {"service_tier": "default", "system_fingerprint": "fp_1"}
    told = openai_app.told([delta(more=more, content=""), text("Hello"), finish(), usage(), DONE])

    names = [
        "gen_ai.response.id",
        "gen_ai.response.model",
        "gen_ai.response.finish_reasons",
        "llm_stream.stop_reason",
        "llm_stream.outcome",
        "llm_stream.partial",
        "openai.response.service_tier",
        "openai.response.system_fingerprint",
        "gen_ai.usage.input_tokens",
        "gen_ai.usage.output_tokens",
        "llm_stream.chunk.count",
        "llm_stream.keepalive.count",
    ]
    assert [told.get(name) for name in names] == [
        ID, MODEL, ("stop",), "stop", "complete", False, "default", "fp_1", 9, 12, 1, 0
    ]  # fmt: skip


DETAILS = {
    "prompt_tokens": 100,
    "completion_tokens": 50,
    "prompt_tokens_details": {"cached_tokens": 80, "cache_write_tokens": 10},
    "completion_tokens_details": {"reasoning_tokens": 40},
}
ZEROS = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
USAGES: Mapping[str, tuple[Sequence[bytes], tuple[int | None, ...]]] = {
    "none": ([text("Hi")], (None, None, None, None, None)),
    "last": ([text("Hi"), usage()], (9, 12, None, None, None)),
    "details": ([text("Hi"), usage(**DETAILS)], (100, 50, 80, 10, 40)),
    "in every chunk, the last counts": (
        [
            delta(content="H", more={"usage": {"prompt_tokens": 100, "completion_tokens": 1}}),
            delta(content="i", more={"usage": DETAILS}),
        ],
        (100, 50, 80, 10, 40),
    ),
    "in every chunk, without output at first": (
        [delta(content="H", more={"usage": {"prompt_tokens": 9, "completion_tokens": None}}), usage()],
        (9, 12, None, None, None),
    ),
    "in x_groq only": ([text("Hi"), chunk([], x_groq={"id": "r", "usage": USAGE})], (9, 12, None, None, None)),
    "before a chunk that has null": ([text("Hi"), usage(), chunk([], usage=None)], (9, 12, None, None, None)),
    "all zero": ([text("Hi"), chunk([], usage=ZEROS)], (None, None, None, None, None)),
    "zeros after the real one": ([text("Hi"), usage(), chunk([], usage=ZEROS)], (9, 12, None, None, None)),
    "one for each choice": (
        [
            text("Hi"),
            text("Ho", 1),
            chunk([{"index": 0, "delta": {}, "finish_reason": "stop", "usage": USAGE}]),
            chunk([{"index": 1, "delta": {}, "finish_reason": "stop", "usage": {**USAGE, "completion_tokens": 30}}]),
        ],
        (9, 42, None, None, None),
    ),
    "in the one choice": (
        [text("Hi"), chunk([{"index": 0, "delta": {}, "finish_reason": "stop", "usage": USAGE}])],
        (9, 12, None, None, None),
    ),
    "a cache as DeepSeek counts it": (
        [text("Hi"), usage(prompt_cache_hit_tokens=8, prompt_cache_miss_tokens=1)],
        (9, 12, 8, None, None),
    ),
    "what is no number": ([text("Hi"), usage(prompt_tokens="nine", completion_tokens=-1)], (None,) * 5),
}


@pytest.mark.parametrize("way", CREATED)
@pytest.mark.parametrize(("body", "expected"), USAGES.values(), ids=USAGES)
def test_usage(openai_app: OneStream, way: Way, body: Sequence[bytes], expected: tuple[int | None, ...]) -> None:
    """Token counts are on the span only where they came, and the last ones count."""
    told = openai_app.told([role(), *body, finish(), DONE], way)

    names = (
        "input_tokens",
        "output_tokens",
        "cache_read.input_tokens",
        "cache_write.input_tokens",
        "reasoning.output_tokens",
    )
    assert tuple(told.get(f"gen_ai.usage.{name}") for name in names) == expected


def test_several_choices(openai_app: OneStream) -> None:
    """Each choice has blocks of its own; the finish reasons of all are on the span, in their order."""
    body = [role(), role(1), text("Hi"), text("Hello", 1), text("!"), finish("length", 1), finish("stop"), DONE]

    span = openai_app.span(body, n=2)

    assert blocks(span) == [("text", 5, True), ("text", 3, True)]
    assert attributes(span)["gen_ai.response.finish_reasons"] == ("stop", "length")
    assert attributes(span)["llm_stream.stop_reason"] == "stop"
    assert attributes(span)["llm_stream.text.chars"] == 8


KEEPALIVES: Mapping[str, tuple[Sequence[bytes], int]] = {
    "none": ([], 0),
    "comments": ([b": ping\n\n", b": ping\n\n"], 2),
    "deltas without content": ([delta(content=""), delta(), delta(content=None, role="assistant")], 3),
    "empty arguments": ([call("", "now", "c", index=0), call("", index=0), call("", index=0)], 2),
}


@pytest.mark.parametrize("way", CREATED)
@pytest.mark.parametrize(("body", "expected"), KEEPALIVES.values(), ids=KEEPALIVES)
def test_keep_alives(openai_app: OneStream, way: Way, body: Sequence[bytes], expected: int) -> None:
    """Comments and deltas without content are keep-alives. The end mark is none."""
    told = openai_app.told([role(), text("Hi"), *body, text("!"), finish(), DONE], way)

    assert told["llm_stream.keepalive.count"] == expected


@pytest.mark.parametrize("way", CREATED)
@pytest.mark.parametrize("size", [1, 7, 50])
def test_the_body_in_pieces(openai_app: OneStream, way: Way, size: int) -> None:
    """However the body is cut on its way, the span says the same."""
    body = b"".join(HELLO)
    pieces = [body[start : start + size] for start in range(0, len(body), size)]

    told = openai_app.told(pieces, way)

    names = ("llm_stream.outcome", "llm_stream.chunk.count", "llm_stream.text.chars", "llm_stream.keepalive.count")
    assert tuple(told[name] for name in names) == ("complete", 2, 5, 0)


@pytest.mark.parametrize("way", CREATED)
@pytest.mark.parametrize("line_end", ["\r\n", "\r"])
def test_other_ends_of_lines(openai_app: OneStream, way: Way, line_end: str) -> None:
    """CRLF and CR end lines, too."""
    told = openai_app.told([part.replace(b"\n", line_end.encode()) for part in HELLO], way)

    assert (told["llm_stream.outcome"], told["llm_stream.text.chars"]) == ("complete", 5)


def test_the_legacy_completions(openai_app: OneStream) -> None:
    """Their choices have a text instead of a delta."""

    def piece(content: str, finish_reason: str | None = None) -> bytes:
        choice = {"index": 0, "text": content, "logprobs": None, "finish_reason": finish_reason}
        return frame({"id": "cmpl-1", "object": "text_completion", "model": "babbage-002", "choices": [choice]})

    def complete(url: str, _: Mapping[str, Any]) -> None:
        with sync_client(url) as client:
            for _event in client.completions.create(model="babbage", prompt="Say", stream=True):
                pass

    span = openai_app.span([piece("Hel"), piece("lo"), piece("!", "length"), DONE], complete)

    told = attributes(span)
    assert (span.name, told["gen_ai.operation.name"]) == ("text_completion babbage", "text_completion")
    assert (told["llm_stream.outcome"], told["llm_stream.stop_reason"]) == ("complete", "length")
    assert blocks(span) == [("text", 6, True)]


def test_a_refusal_is_told(openai_app: OneStream) -> None:
    """The first piece of a refusal makes one event and nothing else does."""
    span = openai_app.span([role(), delta(refusal="Sor"), delta(refusal="ry"), finish(), DONE])

    assert [event.name for event in span.events].count("llm_stream.refusal") == 1

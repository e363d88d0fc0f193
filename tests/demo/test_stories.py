"""Every story ends as it says, through the real SDK, instrumented."""

from collections.abc import Iterator
from dataclasses import replace
from typing import get_args

import pytest

from streamspan import semconv
from streamspan.cli.demo.openai.sdk import ResponsesApi
from streamspan.cli.demo.provider import Provider, provider_named
from streamspan.cli.demo.record import Recorder
from streamspan.cli.demo.stories import ITEM, LOOPING_ADVICE, TENT_ADVICE, Story
from streamspan.cli.drawing.finished import Finding, findings, number

SPEED = 50.0
LOOPS = {
    "loops": ("text", len(LOOPING_ADVICE), len(TENT_ADVICE) - len(". "), False),
    "loops-in-tool-input": ("tool_input", len(ITEM), len('{"order_id":"4711","items":['), False),
}
"""Channel, period, start and whether it was left. What the text before has in common with the loop is part of it."""


PROVIDERS = {name: provider_named(name) for name in ("anthropic", "openai")}
BY_RESPONSES = replace(PROVIDERS["openai"], api=ResponsesApi())
PLAYED = {
    f"{name}-{story.name}": (provider, story)
    for name, provider in {**PROVIDERS, "responses": BY_RESPONSES}.items()
    for story in provider.stories
}
STORIES = {story.name: story for story in PROVIDERS["anthropic"].stories}


@pytest.fixture(params=list(PROVIDERS.values()), ids=list(PROVIDERS))
def recorder(request: pytest.FixtureRequest) -> Iterator[Recorder]:
    with Recorder(request.param, speed=SPEED) as running:
        yield running


@pytest.mark.parametrize(("provider", "story"), PLAYED.values(), ids=PLAYED.keys())
def test_story_ends_as_it_says(provider: Provider, story: Story) -> None:
    """A story leaves one stream, with the outcome, the abort reason and the findings that it says."""
    with Recorder(provider, speed=SPEED) as recorder:
        (stream,) = recorder.streams_of(story)

    assert (stream.outcome, stream.abort_reason) == (story.outcome, story.abort_reason)
    assert findings(stream) == story.findings


@pytest.mark.parametrize("name", ["loops", "loops-in-tool-input"])
def test_loop_is_what_the_script_repeats(recorder: Recorder, name: str) -> None:
    """The loop has the channel, the period and the start of the repeated text, and lasts to the end of the stream."""
    (stream,) = recorder.streams_of(STORIES[name])
    told = (
        semconv.REPETITION_CHANNEL,
        semconv.REPETITION_PERIOD,
        semconv.REPETITION_START,
        semconv.REPETITION_RECOVERED,
    )

    assert tuple(stream.attributes[name] for name in told) == LOOPS[name]


def test_slow_reader_is_no_stall(recorder: Recorder) -> None:
    """Where the program is slow, the time is the reader's, and the model has not stalled."""
    (stream,) = recorder.streams_of(STORIES["slow-reader"])

    assert (number(stream.attributes, semconv.CONSUMER_TIME) or 0) > 1.0
    assert stream.attributes[semconv.STALL_COUNT] == 0


@pytest.mark.parametrize(
    ("name", "waited_for", "keepalives"),
    [
        ("freezes", ["provider"], [0]),
        ("keep-alives-only", ["provider"], [6]),
        ("gateway-in-clumps", ["transit"] * 3, [0, 0, 0]),
        ("blocked-event-loop", ["event_loop"], [0]),
    ],
)
def test_stall_is_ascribed(recorder: Recorder, name: str, waited_for: list[str], keepalives: list[int]) -> None:
    """A story in which the reader waits for long says whom it waited for, and whether the line lived meanwhile."""
    (stream,) = recorder.streams_of(STORIES[name])
    stalls = [event.attributes for event in stream.events if event.name == semconv.EVENT_STALL]

    assert [stall[semconv.STALL_WAITED_FOR] for stall in stalls] == waited_for
    assert [stall[semconv.STALL_KEEPALIVES] for stall in stalls] == keepalives


@pytest.mark.parametrize("name", ["clean", "thinks"])
def test_environment_does_not_matter(recorder: Recorder, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A proxy in the environment is not asked for the loopback server, neither by the sync nor by the async client."""
    for variable in ("HTTP_PROXY", "ALL_PROXY", "http_proxy", "all_proxy"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")

    assert [stream.outcome for stream in recorder.streams_of(STORIES[name])] == ["complete"]


@pytest.mark.parametrize("provider", PROVIDERS.values(), ids=PROVIDERS.keys())
def test_stories_show_every_way_to_end(provider: Provider) -> None:
    """The stories leave out no outcome, and no finding but one that only Anthropic has."""
    found = {finding for story in provider.stories for finding in story.findings}

    assert {story.outcome for story in provider.stories} == {"complete", "truncated", "error", "aborted"}
    assert set(get_args(Finding)) - found <= {"falls back"}


def test_openai_by_two_apis() -> None:
    """Reasoning, which OpenAI's Chat Completions do not stream, comes by Responses."""
    provider = PROVIDERS["openai"]
    routes = {provider.api_of(story) for story in provider.stories}

    assert provider.api_of(STORIES["thinks"]) is provider.other_apis["thinks"]
    assert routes == {provider.api, provider.other_apis["thinks"]}

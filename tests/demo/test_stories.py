"""Every story ends as it says, through the real SDK, instrumented."""

from collections.abc import Iterator
from typing import get_args

import pytest

from streamspan import semconv
from streamspan.cli.demo.record import Recorder
from streamspan.cli.demo.script import Pause
from streamspan.cli.demo.stories import ITEM, LOOPING_ADVICE, STORIES, TENT_ADVICE, Story
from streamspan.cli.drawing.finished import Finding, findings, number

SPEED = 50.0
LOOPS = {
    "loops": ("text", len(LOOPING_ADVICE), len(TENT_ADVICE) - len(". "), False),
    "loops-in-tool-input": ("tool_input", len(ITEM), len('{"order_id":"4711","items":['), False),
}
"""Channel, period, start and whether it was left. What the text before has in common with the loop is part of it."""


def story_named(name: str) -> Story:
    (story,) = (story for story in STORIES if story.name == name)
    return story


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    with Recorder(speed=SPEED) as running:
        yield running


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_story_ends_as_it_says(recorder: Recorder, story: Story) -> None:
    """A story leaves one stream, with the outcome, the abort reason and the findings that it says."""
    (stream,) = recorder.streams_of(story)

    assert (stream.outcome, stream.abort_reason) == (story.outcome, story.abort_reason)
    assert findings(stream) == story.findings


@pytest.mark.parametrize("name", ["loops", "loops-in-tool-input"])
def test_loop_is_what_the_script_repeats(recorder: Recorder, name: str) -> None:
    """The loop has the channel, the period and the start of the repeated text, and lasts to the end of the stream."""
    (stream,) = recorder.streams_of(story_named(name))
    told = (
        semconv.REPETITION_CHANNEL,
        semconv.REPETITION_PERIOD,
        semconv.REPETITION_START,
        semconv.REPETITION_RECOVERED,
    )

    assert tuple(stream.attributes[name] for name in told) == LOOPS[name]


def test_slow_reader_is_no_stall(recorder: Recorder) -> None:
    """Where the program is slow, the time is the reader's, and the model has not stalled."""
    (stream,) = recorder.streams_of(story_named("slow-reader"))

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
    (stream,) = recorder.streams_of(story_named(name))
    stalls = [event.attributes for event in stream.events if event.name == semconv.EVENT_STALL]

    assert [stall[semconv.STALL_WAITED_FOR] for stall in stalls] == waited_for
    assert [stall[semconv.STALL_KEEPALIVES] for stall in stalls] == keepalives


@pytest.mark.parametrize("name", ["clean", "thinks"])
def test_environment_does_not_matter(recorder: Recorder, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A proxy in the environment is not asked for the loopback server, neither by the sync nor by the async client."""
    for variable in ("HTTP_PROXY", "ALL_PROXY", "http_proxy", "all_proxy"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")

    assert [stream.outcome for stream in recorder.streams_of(story_named(name))] == ["complete"]


def test_stories_show_every_way_to_end() -> None:
    """The stories leave out no outcome and no finding, and no two have the same name."""
    assert {story.outcome for story in STORIES} == {"complete", "truncated", "error", "aborted"}
    assert {finding for story in STORIES for finding in story.findings} == set(get_args(Finding))
    assert len({story.name for story in STORIES}) == len(STORIES)


def test_all_stories_play_in_forty_seconds() -> None:
    """The pauses of all scripts together are short enough for one sitting."""
    steps = (step for story in STORIES for script in story.scripts for step in script)

    assert sum(step.seconds for step in steps if isinstance(step, Pause)) < 40

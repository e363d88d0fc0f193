"""Every story ends as it says, through the real SDK, instrumented."""

from collections.abc import Iterator

import pytest

from streamspan.demo.record import Recorder
from streamspan.demo.script import Pause
from streamspan.demo.stories import STORIES, Story

SPEED = 50.0


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    with Recorder() as running:
        yield running


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_story_ends_as_it_says(recorder: Recorder, story: Story) -> None:
    """A story leaves one stream, with the outcome and the abort reason that it says."""
    streams = recorder.streams_of(story, speed=SPEED)

    assert [(s.outcome, s.abort_reason) for s in streams] == [(story.outcome, story.abort_reason)]


@pytest.mark.parametrize("name", ["clean", "thinks"])
def test_environment_does_not_matter(recorder: Recorder, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A proxy in the environment is not asked for the loopback server, neither by the sync nor by the async client."""
    for variable in ("HTTP_PROXY", "ALL_PROXY", "http_proxy", "all_proxy"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    (story,) = (story for story in STORIES if story.name == name)

    assert [stream.outcome for stream in recorder.streams_of(story, speed=SPEED)] == ["complete"]


def test_stories_show_every_way_to_end() -> None:
    """The stories leave out no outcome, and no two have the same name."""
    assert {story.outcome for story in STORIES} == {"complete", "truncated", "error", "aborted"}
    assert len({story.name for story in STORIES}) == len(STORIES)


def test_all_stories_play_in_twenty_seconds() -> None:
    """The pauses of all scripts together are short enough for one sitting."""
    steps = (step for story in STORIES for script in story.scripts for step in script)

    assert sum(step.seconds for step in steps if isinstance(step, Pause)) < 20

"""The demo: plays stories, shows each stream as it ends, and says if one ended otherwise than expected.

Streams go to the standard output, everything else to the standard error.
"""

import io
import json
import re
import shutil
import sys
import textwrap
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Protocol

from rich.console import Console

from streamspan.cli.drawing.finished import FinishedStream, as_data, findings
from streamspan.cli.drawing.waterfall import Summary, Waterfall

from . import otlp as otlp_endpoint
from .provider import Provider
from .record import Recorder
from .stories import Story

SVG_WIDTH = 92
FONT_DOWNLOAD = re.compile(r"@font-face {.*?}\s*", re.DOTALL)
"""What rich has a picture fetch from elsewhere."""

_WHY_AGAIN = "Playing all again for the metrics, which need that for a rate: nothing is drawn until the end."


class View(Protocol):
    """Where streams are shown."""

    def playing(self, story: Story) -> AbstractContextManager[object]: ...

    def show(self, story: Story, stream: FinishedStream) -> None: ...

    def finish(self) -> None: ...


class JsonLines:
    """One JSON object for each stream, on a line of its own."""

    def playing(self, story: Story) -> AbstractContextManager[object]:
        del story
        return nullcontext()

    def show(self, story: Story, stream: FinishedStream) -> None:
        print(json.dumps({"story": story.name, **as_data(stream)}), flush=True)

    def finish(self) -> None:
        pass


class Drawing:
    """Waterfalls in the terminal, and a table of all streams at the end. `svg`: a file for the same waterfalls."""

    def __init__(self, svg: str | None) -> None:
        self._console = Console(highlight=False)
        self._svg = svg
        self._shown: list[tuple[str, FinishedStream]] = []
        self._drawn: list[Waterfall] = []

    def playing(self, story: Story) -> AbstractContextManager[object]:
        if not self._console.is_terminal:
            return nullcontext()
        spinner = "line" if self._console.options.ascii_only else "dots"
        return self._console.status(f"{story.name}: {story.about}", spinner=spinner)

    def show(self, story: Story, stream: FinishedStream) -> None:
        drawing = Waterfall(story.name, story.about, stream)
        self._drawn.append(drawing)
        self._shown.append((story.name, stream))
        self._console.print(drawing)
        self._console.print()

    def finish(self) -> None:
        self._console.print(Summary(self._shown))
        if self._svg:
            save_svg(self._drawn, self._svg)


def save_svg(drawings: Sequence[Waterfall], path: str) -> None:
    """The drawings as a picture, which is the same in every terminal."""
    console = Console(record=True, width=SVG_WIDTH, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    for drawing in drawings:
        console.print(drawing)
        console.print()
    drawn = console.export_svg(title="streamspan demo")
    Path(path).write_text(FONT_DOWNLOAD.sub("", drawn), encoding="utf-8")


def print_list(stories: Sequence[Story]) -> None:
    """One line each, but in a terminal that is too narrow for that."""
    width = max(len(story.name) for story in stories) + 2
    columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else sys.maxsize
    for story in stories:
        print(textwrap.fill(f"{story.name:<{width}}{story.about}", columns, subsequent_indent=" " * width))


def chosen(names: Sequence[str], provider: Provider) -> Provider:
    """With the stories of these names only, in this order; all if there are none.

    Raises ValueError for a name of none.
    """
    stories = {story.name: story for story in provider.stories}
    unknown = [name for name in names if name not in stories]
    if unknown:
        raise ValueError(f"no story is named {', '.join(unknown)}; there are {', '.join(stories)}")
    return replace(provider, stories=[stories[name] for name in names] or provider.stories)


def run(provider: Provider, view: View, *, speed: float, otlp: str | None, times: int = 1) -> int:
    """Plays the provider's stories so many times, and shows them the first time. Gives the exit status."""
    stories = provider.stories
    if otlp and (failure := otlp_endpoint.failure_to_reach(otlp)):
        print(f"streamspan: no OTLP endpoint can be reached at {otlp}: {failure}", file=sys.stderr)
        return 1
    destination = otlp_endpoint.Destination(otlp) if otlp else None
    failures: list[str] = []
    with Recorder(provider, speed=speed, reader=destination and destination.reader) as recorder:
        for time, story in product(range(times), stories):
            if destination and time == 1 and story is stories[0]:
                print(_WHY_AGAIN, file=sys.stderr, flush=True)
            with view.playing(story):
                streams = recorder.streams_of(story)
            for stream in streams if time == 0 else ():
                view.show(story, stream)
            failures += differences(story, streams)
            if destination and not destination.takes(recorder.spans):
                failures.append(f"the spans could not be sent to {otlp}")
                break
    view.finish()
    if destination:
        print(destination.close(), file=sys.stderr)
    for failure in failures:
        print(f"streamspan: {failure}", file=sys.stderr)
    return 1 if failures else 0


def differences(story: Story, streams: Sequence[FinishedStream]) -> list[str]:
    """What is otherwise than the story expects."""
    expected = ending(story.outcome, story.abort_reason)
    actual = [ending(stream.outcome, stream.abort_reason) for stream in streams]
    if actual != [expected]:
        return [f"story {story.name}: expected {expected}, got {', '.join(actual) or 'no stream'}"]
    found = findings(streams[0])
    return [f"story {story.name}: expected {finding}, not found" for finding in story.findings if finding not in found]


def ending(outcome: str, abort_reason: str | None) -> str:
    return f"{outcome} ({abort_reason})" if abort_reason else outcome

"""What comes between the receiver and the view, without either."""

import asyncio
import threading
from collections.abc import Callable

import pytest

from streamspan.cli.watch import watching
from streamspan.cli.watch.otlp import PROTOBUF, TRACES, Received
from streamspan.cli.watch.totals import Totals
from streamspan.cli.watch.view import EndedStream
from streamspan.cli.watch.watching import Watch
from tests.watch.running import stream_span, traces


class Seen:
    """A view that keeps what it is shown, and calls `refreshed`."""

    def __init__(self, refreshed: Callable[[], None]) -> None:
        self.span_ids: list[str] = []
        self._refreshed = refreshed

    def show(self, ended: EndedStream) -> None:
        self.span_ids.append(ended.span_id)

    def refresh(self, totals: Totals, now: float, state: str) -> None:
        self._refreshed()

    def finish(self, totals: Totals, now: float, state: str) -> None: ...


def test_the_view_goes_on_while_a_body_is_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A body may take as long as it likes: the table is refreshed meanwhile, and the next body waits for its turn."""
    begun, refreshed = threading.Event(), threading.Event()
    running: list[int] = []

    def parsed_until_refreshed(path: str, media_type: str, body: bytes) -> Received:
        running.append(threading.get_ident())
        begun.set()
        assert refreshed.wait(30)
        return Received(other_spans=len(running))

    monkeypatch.setattr(watching, "received", parsed_until_refreshed)
    seen_before_refresh: list[int] = []

    async def main() -> None:
        watch = Watch(shows_content=False)
        bodies = [asyncio.create_task(watch.accept(TRACES, PROTOBUF, b"")) for _ in range(3)]
        assert await asyncio.to_thread(begun.wait, 30)
        seen_before_refresh.append(len(running))
        watch.show(Seen(refreshed.set))
        await asyncio.gather(*bodies)

    asyncio.run(main())

    assert seen_before_refresh == [1]
    assert len(running) == 3
    assert threading.get_ident() not in running


def test_the_view_is_refreshed_between_bodies(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many wait, no more are shown at once than there is time for until the next refresh."""
    monkeypatch.setattr(watching, "REFRESH_SECONDS", 0.0)
    counts: list[int] = []

    async def main() -> None:
        watch = Watch(shows_content=False)
        for number in range(3):
            span = stream_span({}, span_id=number.to_bytes(8, "big"))
            await watch.accept(TRACES, PROTOBUF, traces(span))
        seen = Seen(lambda: counts.append(len(seen.span_ids)))
        for _ in range(3):
            watch.show(seen)

    asyncio.run(main())

    assert counts == [1, 2, 3]

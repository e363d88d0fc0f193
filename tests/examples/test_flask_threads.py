"""Three threads that stream at the same time, started as the README says."""

import json
from pathlib import Path
from threading import Event

from streamspan.cli.demo import wire
from streamspan.cli.demo.script import Script, Wait, paced
from streamspan.cli.demo.server import Exchange, MessagesServer
from tests.examples.launched import parent, serving, streams, told
from tests.launch.environment import calls, environment
from tests.launch.receiver import OtlpReceiver
from tests.stack.loopback import get_with_query

PROSE = [*wire.whole_message(wire.text_block(0, "A lighthouse is a tower with a lamp."))]
VERSE_WITHOUT_END = [*wire.whole_message(wire.text_block(0, "O light! " * 1000, size=9))]


class Writers:
    """Answers three requests, none before all have come; the one for verse goes on for ever."""

    def __init__(self) -> None:
        self._count = 0
        self._all_have_come = Event()

    def script(self, exchange: Exchange) -> Script:
        self._count += 1
        if self._count == 3:
            self._all_have_come.set()
        message = VERSE_WITHOUT_END if "verse" in str(exchange.body) else PROSE
        return [Wait(self._all_have_come), *paced(message, 0.02)]


def test_three_streams_at_once(receiver: OtlpReceiver, tmp_path: Path) -> None:
    """All three are open at the same time, all in the trace of the request; the one that takes too long is left."""
    with (
        MessagesServer(choose=Writers().script) as api,
        serving("flask_threads", {**environment(receiver), **calls(api)}, tmp_path) as application,
    ):
        answer = get_with_query(f"http://127.0.0.1:{application.port}/texts", "seconds=3")
        spans = streams(receiver, 3)
        parents = [parent(span, receiver) for span in spans]

    texts = json.loads(answer.body)
    assert {writer: text[:9] for writer, text in texts.items()} == {
        "child": "A lightho",
        "lawyer": "A lightho",
        "poet": "O light! ",
    }
    assert parents == ["GET /texts"] * 3
    assert [told(span, "outcome", "abort.reason", "abort.connection_closed") for span in spans] == [
        {"outcome": "complete", "abort.reason": None, "abort.connection_closed": None},
        {"outcome": "complete", "abort.reason": None, "abort.connection_closed": None},
        {"outcome": "aborted", "abort.reason": "deadline", "abort.connection_closed": True},
    ]

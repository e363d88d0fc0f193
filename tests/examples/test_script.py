"""The script of ten lines, started as the README says."""

import math
from pathlib import Path

from streamspan.cli.demo import wire
from streamspan.cli.demo.script import Pause
from streamspan.cli.demo.server import MessagesServer
from tests.examples.launched import SDK_CLOSES, running, streams, told
from tests.launch.receiver import OtlpReceiver
from tests.stack.collector import wait_until

STORY = [*wire.whole_message(wire.text_block(0, "Grüße aus Köln", size=5))]


def test_to_the_end(with_key: dict[str, str], api: MessagesServer, receiver: OtlpReceiver, tmp_path: Path) -> None:
    """The script prints the answer; its span is complete."""
    api.scripts.append(STORY)

    with running("script.py", with_key, tmp_path) as script:
        status = script.process.wait(60)

    [span] = streams(receiver)
    assert (status, script.output.read_text(encoding="utf-8")) == (0, "Grüße aus Köln\n")
    assert told(span, "outcome", "text.chars") == {"outcome": "complete", "text.chars": 14}


def test_interrupted(with_key: dict[str, str], api: MessagesServer, receiver: OtlpReceiver, tmp_path: Path) -> None:
    """Ctrl-C in the middle: the span says how much had come; the API sees that we left."""
    api.scripts.append([*STORY[:4], Pause(math.inf)])

    with running("script.py", with_key, tmp_path) as script:
        wait_until(lambda: "Grüße" in script.output.read_text(encoding="utf-8"), seconds=60)
        script.interrupt()

    [span] = streams(receiver)
    assert told(span, "outcome", "abort.reason", "abort.connection_closed", "text.chars") == {
        "outcome": "aborted",
        "abort.reason": "cancelled",
        "abort.connection_closed": SDK_CLOSES,
        "text.chars": 5,
    }
    assert api.exchanges[-1].disconnected.wait(60)


def test_terminated(with_key: dict[str, str], api: MessagesServer, tmp_path: Path) -> None:
    """SIGTERM, which reaches `loopback.py` alone, ends the command that it runs, too."""
    api.scripts.append([*STORY[:4], Pause(math.inf)])

    with running("script.py", with_key, tmp_path) as script:
        wait_until(lambda: "Grüße" in script.output.read_text(encoding="utf-8"), seconds=60)
        script.process.terminate()

        assert api.exchanges[-1].disconnected.wait(60)
        assert script.process.wait(60) != 0

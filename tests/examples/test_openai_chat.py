"""The example with OpenAI's SDK, started as the README says."""

from pathlib import Path

from streamspan.cli.demo.answer import answer, scripted, text
from streamspan.cli.demo.openai.chat import Chat
from streamspan.cli.demo.server import LoopbackServer
from tests.examples.launched import running, streams, told
from tests.launch.environment import environment
from tests.launch.receiver import OtlpReceiver
from tests.stack.collector import wait_until

EXAMPLE = "openai_chat.py"


def test_to_the_end(receiver: OtlpReceiver, tmp_path: Path) -> None:
    """With a key it prints the answer of the API; its span is complete."""
    with LoopbackServer([scripted(answer(text("Grüße aus Köln")), Chat())]) as api:
        with_key = {**environment(receiver), "OPENAI_API_KEY": "none", "OPENAI_BASE_URL": f"{api.url}/v1"}
        with running(EXAMPLE, with_key, tmp_path) as example:
            status = example.process.wait(60)

    [span] = streams(receiver)
    assert (status, example.output.read_text(encoding="utf-8")) == (0, "Grüße aus Köln\n")
    assert span.attributes["gen_ai.provider.name"] == "openai"
    assert told(span, "outcome", "text.chars") == {"outcome": "complete", "text.chars": 14}


def test_interrupted(receiver: OtlpReceiver, tmp_path: Path) -> None:
    """With no key the answer is made up. Ctrl-C in the middle: the span says so, and the loopback API that we left."""
    with running(EXAMPLE, environment(receiver), tmp_path) as example:
        wait_until(lambda: "lighthouse" in example.output.read_text(encoding="utf-8"), seconds=60)
        example.interrupt()

    [span] = streams(receiver)
    assert told(span, "outcome", "abort.reason") == {"outcome": "aborted", "abort.reason": "cancelled"}
    assert "loopback: POST /v1/chat/completions: the reader left in the middle" in example.output.read_text()

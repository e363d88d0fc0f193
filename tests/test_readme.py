"""The code of the README and of docs/ does what it says."""

import re
import subprocess
import sys
from pathlib import Path

from streamspan.cli.demo import wire
from streamspan.cli.demo.server import MessagesServer

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"


def code_blocks(language: str, page: Path = README) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)


def printed_by(code: str, *answers: str) -> str:
    """What the code prints where each call is answered by the next text. Nothing goes to its standard error."""
    scripts = [list(wire.whole_message(wire.text_block(0, answer))) for answer in answers]
    with MessagesServer(scripts) as server:
        run = subprocess.run(
            [sys.executable, "-c", code],
            env={"ANTHROPIC_BASE_URL": server.url, "ANTHROPIC_API_KEY": "none", "NO_PROXY": "127.0.0.1"},
            capture_output=True,
            text=True,
            timeout=240,
            check=True,
        )
    assert run.stderr == ""
    return run.stdout


def test_the_first_code_prints_the_answer_and_its_span() -> None:
    """A newcomer who pastes the first block sees the text and the span of the stream."""
    printed = printed_by(code_blocks("python")[0], "Once upon a time.")

    assert printed.startswith("Once upon a time.")
    assert '"llm_stream.outcome": "complete"' in printed


def test_the_handle() -> None:
    """A newcomer who pastes the first block of docs/handle.md sees the reason, the event and the facts."""
    printed = printed_by(code_blocks("python", ROOT / "docs" / "handle.md")[0], "All work and no play. " * 20)

    assert '"llm_stream.abort.reason": "too_long"' in printed
    assert '"name": "answer.limit"' in printed
    assert "Snapshot(ended=True, outcome='aborted', abort_reason='too_long'" in printed


def test_the_callback() -> None:
    """A newcomer who pastes its second block sees how the story is given up, and why on the span."""
    sentences = "And then they went home again. " * 40
    printed = printed_by(code_blocks("python", ROOT / "docs" / "handle.md")[1], sentences)

    assert "Gave up: " in printed
    assert "times the same 31 characters" in printed
    assert '"llm_stream.abort.reason": "looping"' in printed

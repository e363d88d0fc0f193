"""The README's code does what it says."""

import re
import subprocess
import sys
from pathlib import Path

from streamspan.demo import wire
from streamspan.demo.server import MessagesServer

README = Path(__file__).parents[1] / "README.md"


def code_blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)


def test_the_first_code_prints_the_answer_and_its_span() -> None:
    """A newcomer who pastes the first block sees the text and the span of the stream."""
    script = list(wire.whole_message(wire.text_block(0, "Once upon a time.")))
    with MessagesServer([script]) as server:
        run = subprocess.run(
            [sys.executable, "-c", code_blocks("python")[0]],
            env={"ANTHROPIC_BASE_URL": server.url, "ANTHROPIC_API_KEY": "none", "NO_PROXY": "127.0.0.1"},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )

    assert run.stdout.startswith("Once upon a time.")
    assert '"llm_stream.outcome": "complete"' in run.stdout
    assert run.stderr == ""

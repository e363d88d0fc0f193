"""The commands of the pages in docs/ do what the pages say."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from streamspan.cli.demo import wire
from streamspan.cli.demo.anthropic.provider import PROVIDER
from streamspan.cli.demo.server import MessagesServer

DOCS = Path(__file__).parents[1] / "docs"
SHELL = ("/bin/bash", "-ec")
STORY = "Once upon a time."
AN_APP = """
from anthropic import Anthropic

question = {"role": "user", "content": "Tell me a story."}
with Anthropic().messages.stream(model="claude-sonnet-5-5", max_tokens=500, messages=[question]) as stream:
    for text in stream.text_stream:
        print(text, end="", flush=True)
"""


def code_blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL)


def pasted(code: str, folder: Path, *, into: tuple[str | Path, ...] = SHELL, answer: str = STORY) -> str:
    """What a newcomer sees who pastes the code, with an `app.py` in the folder and a server that gives this answer."""
    (folder / "app.py").write_text(AN_APP)
    with MessagesServer([list(wire.whole_message(wire.text_block(0, answer)))]) as server:
        run = subprocess.run(
            [*into, code],
            env={
                "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
                "ANTHROPIC_BASE_URL": server.url,
                "ANTHROPIC_API_KEY": "none",
                "NO_PROXY": "127.0.0.1",
            },
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=240,
            check=True,
        )
    assert run.stderr == ""
    return run.stdout


def test_the_events_page_shows_events_in_the_logs(tmp_path: Path) -> None:
    """Pasted, its commands print each event as a log record, and a span that has none."""
    pytest.importorskip("opentelemetry.distro", reason="opentelemetry-instrument needs opentelemetry-distro")
    printed = pasted(code_blocks("events.md", "sh")[0], tmp_path)

    assert "Once upon a time." in printed
    assert '"event_name": "llm_stream.first_token"' in printed
    assert '"llm_stream.outcome": "complete"' in printed
    assert '"events": []' in printed


def test_the_content_page_opens_the_gate(tmp_path: Path) -> None:
    """Pasted, its commands print a span with the question and the answer."""
    pytest.importorskip("opentelemetry.distro", reason="opentelemetry-instrument needs opentelemetry-distro")
    printed = pasted(code_blocks("content.md", "sh")[0], tmp_path)

    assert "Tell me a story." in printed
    assert r'"gen_ai.output.messages": "[{\"role\":\"assistant\"' in printed


def test_the_content_page_redacts(tmp_path: Path) -> None:
    """Pasted, its script prints a span whose messages have no address."""
    code = code_blocks("content.md", "python")[0]
    answer, _, span = pasted(
        code, tmp_path, into=(sys.executable, "-c"), answer="I am eve@example.com, Ada."
    ).partition("{")

    assert answer == "I am eve@example.com, Ada."
    assert span.count("I am [address]") == 2
    assert "example.com" not in span


def test_the_configuration_page_asks_the_doctor(tmp_path: Path) -> None:
    """Pasted, its command says which variable is wrong, and what is used instead."""
    code = code_blocks("configuration.md", "sh")[0].replace("\n", " || true\n")  # it finds no exporter, either
    printed = " ".join(pasted(code, tmp_path).split())

    assert "STREAMSPAN_STALL_SECONDS='soon' must be a number of seconds, more than 0; 5.0 is used" in printed


def test_the_drawing_page_has_every_story() -> None:
    """The page lists the stories of the demo as the demo does."""
    _, _, stories = (DOCS / "drawing.md").read_text(encoding="utf-8").partition("## The stories of the demo")

    assert re.findall(r"^\| `(.+)` \| (.+) \|$", stories, re.MULTILINE) == [
        (story.name, story.about) for story in PROVIDER.stories
    ]

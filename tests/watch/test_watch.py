"""`streamspan watch` as a user runs it: a process of its own, real applications, a real terminal."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from streamspan import semconv
from streamspan.cli.demo import wire
from streamspan.cli.demo.server import MessagesServer
from tests.test_docs import code_blocks, pasted
from tests.watch.running import stream_span, traces

LISTENING = re.compile(r"Listening on (http://\S+);")
LAUNCHED = (Path(sys.executable).parent / "opentelemetry-instrument", sys.executable)
HOSTILE = "\x1b[2J\x1b]0;owned\x07\x9b31m\u202e"
ANSWER = "Grüße aus Köln"
APP = """
import anthropic
with anthropic.Anthropic().messages.stream(
    model="claude-x", max_tokens=100, messages=[{"role": "user", "content": "Hi"}]
) as stream:
    stream.until_done()
"""


class Watched:
    """A running `streamspan watch`; `url` is where it listens, `warnings` what it said before."""

    def __init__(self, *arguments: str, **environment: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-W", "default", "-m", "streamspan", "watch", "--port", "0", *arguments],
            env={**plain_environment(), "PYTHONUNBUFFERED": "1", **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        assert self._process.stdout
        assert self._process.stderr
        self.lines, self.errors = self._process.stdout, self._process.stderr
        self.warnings = ""
        line = ""
        while not (found := LISTENING.match(line)):
            self.warnings += line
            line = self.errors.readline()
            assert line
        self.url = found[1]

    def end(self, how: signal.Signals = signal.SIGINT) -> tuple[int, str, str]:
        """Exit status, and the rest of both outputs."""
        self._process.send_signal(how)
        errors = self.errors.read()
        return self._process.wait(60), self.lines.read(), errors

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


def plain_environment() -> dict[str, str]:
    left_out = ("OTEL_", "STREAMSPAN_", "FORCE_COLOR", "TTY_COMPATIBLE", "COLUMNS")
    return {name: value for name, value in os.environ.items() if not name.startswith(left_out)}


@contextmanager
def watched(*arguments: str, **environment: str) -> Generator[Watched, None, None]:
    running = Watched(*arguments, **environment)
    with running.lines, running.errors:
        try:
            yield running
        finally:
            running.kill()


def send(url: str, body: bytes) -> None:
    request = urllib.request.Request(f"{url}/v1/traces", body, {"Content-Type": "application/x-protobuf"})  # noqa: S310 - http
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - the same
        assert answer.status == 200


def run_application(url: str, **environment: str) -> None:
    """One stream of an application that knows nothing of all this."""
    script = list(wire.whole_message(wire.text_block(0, ANSWER)))
    with MessagesServer([script]) as server:
        subprocess.run(
            [*LAUNCHED, "-c", APP],
            env={
                **plain_environment(),
                "ANTHROPIC_BASE_URL": server.url,
                "ANTHROPIC_API_KEY": "none",
                "NO_PROXY": "127.0.0.1",
                "OTEL_SERVICE_NAME": "shop",
                "OTEL_EXPORTER_OTLP_ENDPOINT": url,
                "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
                **environment,
            },
            timeout=240,
            check=True,
        )


def test_demo_is_watched() -> None:
    """Each stream of the demo comes as one object of JSON, as the demo itself prints it, and is counted at the end."""
    with watched("--json") as running:
        demo = [sys.executable, "-m", "streamspan", "demo", "--speed", "50", "--json", "--repeat", "1"]
        played = subprocess.run(
            [*demo, "--story", "clean", "--story", "stop", "--otlp", running.url],
            env=plain_environment(),
            stdout=subprocess.PIPE,
            text=True,
            timeout=240,
            check=True,
        )
        printed = [json.loads(running.lines.readline()) for _ in range(2)]
        status, rest, errors = running.end()

    told = [json.loads(line) for line in played.stdout.splitlines()]
    for stream in (*printed, *told):
        stream.pop("story", None)
    assert [stream.pop("service") for stream in printed] == ["streamspan-demo"] * 2
    assert [(len(stream.pop("trace_id")), len(stream.pop("span_id"))) for stream in printed] == [(32, 16)] * 2
    assert printed == told
    assert (status, rest) == (0, "")
    inside = "1 tool call before abort, 1 incomplete tool call"
    assert re.search(rf"streamspan-demo claude-sonnet-5-5  {inside}\n +0 +1 +0 +0 +1 .*\nstreams: 2\n$", errors)


@pytest.mark.parametrize("events", ["log", "both"])
def test_application_is_watched(events: str) -> None:
    """An auto-launched application is seen with each event once, also where it sends them as logs."""
    with watched("--json") as running:
        run_application(running.url, STREAMSPAN_EVENTS=events)
        stream = json.loads(running.lines.readline())
        running.end()

    assert (stream["service"], stream["attributes"]["llm_stream.outcome"]) == ("shop", "complete")
    assert [event["name"] for event in stream["events"]] == ["llm_stream.first_token", "llm_stream.content_block"]


def test_span_of_the_doctor() -> None:
    """The test span of `streamspan doctor --send` is told as what it is, and is no stream."""
    with watched() as running:
        subprocess.run(
            [sys.executable, "-m", "streamspan", "doctor", "--send"],
            env={
                **plain_environment(),
                "NO_PROXY": "127.0.0.1",
                "OTEL_EXPORTER_OTLP_ENDPOINT": running.url,
                "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            },
            stdout=subprocess.DEVNULL,
            timeout=240,
            check=True,
        )
        status, rest, _ = running.end()

    assert (status, rest.splitlines()[1:]) == (0, ["test spans of streamspan doctor: 1"])


def test_lines() -> None:
    """What is no terminal gets a line for each stream, and the table at the end."""
    with watched() as running:
        send(running.url, traces(stream_span({semconv.OUTCOME: "complete", semconv.TEXT_CHARS: 83})))
        line = running.lines.readline()
        status, rest, _ = running.end(signal.SIGTERM)

    assert re.fullmatch(r"\d\d:\d\d:\d\d shop chat claude-x: COMPLETE; 2.00 s; chars 83 text\n", line)
    assert rest.splitlines()[1:] == ["shop", f"{1:>27}{0:>11}{0:>7}{0:>9}{'':>26}", "streams: 1"]
    assert status == 0


def test_hostile_span_cannot_write_to_the_terminal() -> None:
    """Escapes and control characters in whatever a span says are written out, in each view and in any encoding."""
    names = (semconv.OUTCOME, semconv.REQUEST_MODEL, semconv.PHASE, semconv.ERROR_TYPE, "gen_ai.output.messages")
    span = stream_span(dict.fromkeys(names, HOSTILE))
    span.name = HOSTILE
    seen = ""
    for arguments in (["--content"], ["--json", "--content"]):
        with watched(*arguments, PYTHONIOENCODING="ascii") as running:
            send(running.url, traces(span, service=HOSTILE))
            seen += running.lines.readline()
            seen += "".join(running.end()[1:])

    assert seen.count("owned") > 10
    assert [character for character in seen if not character.isprintable() and character != "\n"] == []


CONTENT = json.dumps([{"role": "assistant", "parts": [{"type": "text", "content": f"{ANSWER}\nbye"}]}])


def test_content_is_shown_when_asked_for() -> None:
    """What was said is left out, however it came, unless the user asks to see it."""
    body = traces(stream_span({semconv.OUTCOME: "complete", "gen_ai.output.messages": CONTENT}))
    with watched("--json") as quiet, watched() as lines, watched("--content") as asked:
        for running in (quiet, lines, asked):
            send(running.url, body)
        left_out = json.loads(quiet.lines.readline())["attributes"]
        shown = "".join(asked.lines.readline() for _ in range(3))
        not_shown = lines.lines.readline() + "".join(lines.end()[1:])

    assert left_out == {semconv.OUTCOME: "complete"}
    assert ANSWER not in not_shown
    assert shown.endswith(f"    assistant: {ANSWER}\n    assistant: bye\n")


@pytest.mark.parametrize("gate", ["SPAN_ONLY", "EVENT_ONLY"])
def test_content_of_an_application_is_shown(gate: str) -> None:
    """What an application captures is shown, on whichever signal it sends it."""
    with watched("--content") as running:
        run_application(running.url, OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=gate)
        told = [running.lines.readline() for _ in range(3)]
        running.end()

    assert told[1:] == ["    user: Hi\n", f"    assistant: {ANSWER}\n"]


def test_port_that_is_taken() -> None:
    """Where it cannot listen it says so in one line, with what to do, and ends with status 1."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        left = subprocess.run(
            [sys.executable, "-m", "streamspan", "watch", "--port", str(port)],
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )

    assert (left.returncode, left.stdout) == (1, "")
    assert left.stderr == (
        f"streamspan: port {port} of 127.0.0.1 is taken, by a collector or another `streamspan watch`: stop that, "
        f"or watch with --port {port + 1} and send to that\n"
    )


def test_only_loopback_goes_without_saying() -> None:
    """Who listens beyond this machine is told; by default nobody does."""
    with watched() as usual, watched("--host", "0.0.0.0") as asked:
        assert usual.url.startswith("http://127.0.0.1:")
        assert usual.warnings == ""
        assert asked.warnings == (
            "streamspan: warning: 0.0.0.0 is not loopback: "
            "whoever reaches this machine can send to it, and nothing is encrypted\n"
        )


def test_reader_that_leaves() -> None:
    """Where the output is a pipe whose reader has left it ends, without a traceback."""
    with watched("--json") as running:
        running.lines.close()
        send(running.url, traces(stream_span({semconv.OUTCOME: "complete"})))
        errors = running.errors.read()

    assert "Traceback" not in errors


@pytest.mark.skipif(sys.platform == "win32", reason="has no pseudo-terminals")
@pytest.mark.parametrize("columns", [80, 120])
def test_terminal(columns: int) -> None:
    """In a terminal streams are drawn above the table, within its width; the cursor is there again at the end."""
    import pty  # noqa: PLC0415  # Windows has none

    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "streamspan", "watch", "--port", "0"],
        env={**plain_environment(), "TERM": "xterm", "COLUMNS": str(columns), "LINES": "40"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    seen = read_until(ours, r"Listening on (http://\S+);.*--otlp")
    found = LISTENING.search(seen)
    assert found
    send(found[1], traces(stream_span({semconv.OUTCOME: "complete"}, events=1)))
    seen += read_until(ours, "streams: 1")
    process.send_signal(signal.SIGINT)
    status = process.wait(60)
    seen += read_until(ours, r"\x1b\[\?25h")
    os.close(ours)

    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", seen).replace("\r", "\n")
    assert status == 0
    assert "shop  COMPLETE" in plain
    assert max(map(len, plain.splitlines())) <= columns


def read_until(terminal: int, pattern: str) -> str:
    seen = b""
    while not re.search(pattern, text := seen.decode("utf-8", "ignore"), re.DOTALL):
        seen += os.read(terminal, 65536)
    return text


def test_missing_package_is_named() -> None:
    """Without the extra the command names the package and the pip command, on one line."""
    code = "import sys; sys.modules['google'] = None; from streamspan.cli import main; sys.exit(main(['watch']))"
    left = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=240, check=False)

    assert left.returncode == 1
    assert re.fullmatch(r'streamspan: google\S* is missing; run: pip install "streamspan\[watch\]"\n', left.stderr)


def test_page_of_the_command(tmp_path: Path) -> None:
    """Its commands, pasted into two terminals, show the application's stream and the demo's."""
    watching, application, demo = (
        block.replace("http://127.0.0.1:4318", "$URL") for block in code_blocks("watch.md", "sh")
    )
    assert watching == "streamspan watch\n"
    with watched() as running:
        pasted(f"URL={running.url}\n{application}", tmp_path)
        lines = running.lines.readline()
        subprocess.run(
            ["/bin/bash", "-ec", f"{demo.rstrip()} --speed 50 --story freezes --repeat 1"],
            env={**plain_environment(), "URL": running.url, "PATH": f"{LAUNCHED[0].parent}:/usr/bin:/bin"},
            stdout=subprocess.DEVNULL,
            timeout=240,
            check=True,
        )
        lines += running.lines.readline()
        running.end()

    assert "unknown_service:python chat claude-sonnet-5-5: COMPLETE, end_turn" in lines
    assert "streamspan-demo chat claude-sonnet-5-5: COMPLETE, end_turn, stalled 1x" in lines

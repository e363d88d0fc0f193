"""The `streamspan` command."""

import io
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from streamspan.cli import main
from streamspan.demo.show import JsonLines, run
from streamspan.demo.stories import STORIES

FAST = ["--speed", "50"]


@contextmanager
def otlp_receiver(status: int) -> Generator[tuple[str, list[ExportTraceServiceRequest]], None, None]:
    """An OTLP/HTTP endpoint that answers with this status, and what it has received."""
    received: list[ExportTraceServiceRequest] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            received.append(ExportTraceServiceRequest.FromString(body))
            self.send_response(status)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None: ...  # noqa: A002  # the base class names it

    with HTTPServer(("127.0.0.1", 0), Receiver) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", received
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What could change how rich writes to a pipe."""
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def test_no_command_prints_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    """`streamspan` alone says what it can do."""
    assert main([]) == 0
    assert "demo" in capsys.readouterr().out


def test_list_names_every_story(capsys: pytest.CaptureFixture[str]) -> None:
    """`--list` has a line for each story, its name first, and plays none."""
    assert main(["demo", "--list"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [story.name for story in STORIES]


def test_story_draws_that_story(capsys: pytest.CaptureFixture[str]) -> None:
    """`--story` plays the named stories only, in the given order."""
    assert main(["demo", *FAST, "--story", "cut-off", "--story", "clean"]) == 0

    lines = capsys.readouterr().out.splitlines()
    titles = [line.split()[0] for line in lines if "TRUNCATED" in line or "COMPLETE" in line]
    assert titles == ["cut-off", "clean"]


def test_output_that_is_not_a_terminal_has_no_control_codes(capsys: pytest.CaptureFixture[str]) -> None:
    """A pipe or a file gets plain text, 80 columns wide."""
    main(["demo", *FAST, "--story", "stop"])

    text = capsys.readouterr().out
    assert "\x1b" not in text
    assert "ABORTED, closed" in text
    assert max(len(line) for line in text.splitlines()) <= 80


def test_terminal_that_has_ascii_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a terminal that can write ASCII only the demo plays and draws."""
    written = io.BytesIO()
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, "ascii", write_through=True))

    assert main(["demo", *FAST, "--story", "clean"]) == 0
    assert b"COMPLETE, end_turn" in written.getvalue()


def test_json_is_one_object_for_each_stream(capsys: pytest.CaptureFixture[str]) -> None:
    """`--json` prints a line of JSON for each stream, and nothing else."""
    assert main(["demo", *FAST, "--json", "--story", "clean", "--story", "overloaded"]) == 0

    printed = capsys.readouterr()
    first, second = (json.loads(line) for line in printed.out.splitlines())
    assert printed.err == ""
    assert set(first) == {"story", "name", "duration", "status", "attributes", "events"}
    assert (first["story"], first["status"], first["attributes"]["llm_stream.outcome"]) == (
        "clean",
        "UNSET",
        "complete",
    )
    assert (second["story"], second["status"], second["attributes"]["error.type"]) == (
        "overloaded",
        "ERROR",
        "overloaded_error",
    )
    assert [event["name"] for event in second["events"]] == [
        "llm_stream.first_token",
        "llm_stream.content_block",
        "llm_stream.error",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--story", "nothing"], "no story is named nothing; there are clean, thinks"),
        (["--speed", "0"], "must be more than 0"),
        (["--speed", "fast"], "invalid positive value"),
    ],
)
def test_wrong_usage(capsys: pytest.CaptureFixture[str], arguments: list[str], message: str) -> None:
    """Wrong usage is exit status 2 and one clear message."""
    with pytest.raises(SystemExit) as left:
        main(["demo", *arguments])

    assert left.value.code == 2
    assert message in capsys.readouterr().err


def test_unexpected_outcome_is_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    """A story that ends otherwise than it says makes the exit status 1, and is named."""
    story = replace(STORIES[0], outcome="aborted", abort_reason="closed")

    assert run([story], JsonLines(), speed=50, otlp=None) == 1
    assert capsys.readouterr().err == ("streamspan: story clean: expected aborted (closed), got complete\n")


def test_missing_finding_is_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    """A story inside which less is found than it says makes the exit status 1, and is named."""
    story = replace(STORIES[0], findings=("loop",))

    assert run([story], JsonLines(), speed=50, otlp=None) == 1
    assert capsys.readouterr().err == "streamspan: story clean: expected loop, not found\n"


def test_missing_package_is_named() -> None:
    """Without the `demo` extra the command names the package and the pip command, on one line."""
    code = "import sys; sys.modules['rich'] = None; from streamspan.cli import main; sys.exit(main(['demo']))"
    left = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert left.returncode == 1
    assert left.stderr == 'streamspan: rich.console is missing; run: pip install "streamspan[demo]"\n'


def test_module_is_the_command() -> None:
    """`python -m streamspan` is the command, and leaves nothing open."""
    command = [sys.executable, "-X", "dev", "-m", "streamspan", "demo", *FAST, "--story", "clean"]
    left = subprocess.run(command, capture_output=True, text=True, check=False, encoding="utf-8")

    assert (left.returncode, left.stderr) == (0, "")
    assert "COMPLETE, end_turn" in left.stdout


def test_otlp_sends_the_same_spans(capsys: pytest.CaptureFixture[str]) -> None:
    """`--otlp` sends every drawn stream to the endpoint, under the service name of the demo."""
    with otlp_receiver(200) as (endpoint, received):
        status = main(["demo", *FAST, "--story", "clean", "--story", "stop", "--otlp", endpoint])
    sent = received[0].resource_spans[0]
    service = {item.key: item.value.string_value for item in sent.resource.attributes}["service.name"]
    outcomes = [
        item.value.string_value
        for span in sent.scope_spans[0].spans
        for item in span.attributes
        if item.key == "llm_stream.outcome"
    ]

    assert (status, service, outcomes) == (0, "streamspan-demo", ["complete", "aborted"])
    assert f"Sent 2 spans to {endpoint}." in capsys.readouterr().err


def test_otlp_endpoint_that_refuses_is_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    """An endpoint that does not take the spans makes the exit status 1."""
    with otlp_receiver(404) as (endpoint, _):
        status = main(["demo", *FAST, "--story", "clean", "--otlp", endpoint])

    assert status == 1
    assert f"streamspan: the spans could not be sent to {endpoint}" in capsys.readouterr().err


def test_otlp_endpoint_that_is_not_there_plays_nothing(capsys: pytest.CaptureFixture[str], closed_port: int) -> None:
    """Where nobody listens the command says so before it plays."""
    endpoint = f"http://127.0.0.1:{closed_port}"

    assert main(["demo", "--otlp", endpoint]) == 1
    printed = capsys.readouterr()
    assert printed.err.startswith(f"streamspan: no OTLP endpoint can be reached at {endpoint}: ")
    assert printed.out == ""


@pytest.mark.parametrize("endpoint", ["localhost:4318", "ftp://localhost", "http://localhost:port"])
def test_otlp_endpoint_that_is_no_url(capsys: pytest.CaptureFixture[str], endpoint: str) -> None:
    """What is not an http URL is named as such."""
    assert main(["demo", "--otlp", endpoint]) == 1
    assert capsys.readouterr().err.endswith(": not an http or https URL\n")


def test_svg_is_the_same_drawing(tmp_path: Path) -> None:
    """`--svg` writes the waterfalls as a picture, which fetches nothing from elsewhere."""
    picture = tmp_path / "waterfall.svg"
    main(["demo", *FAST, "--story", "tools", "--svg", str(picture)])

    drawn = picture.read_text(encoding="utf-8")
    assert drawn.startswith("<svg")
    assert "get_weather" in drawn
    assert "url(https" not in drawn.replace('"', "")

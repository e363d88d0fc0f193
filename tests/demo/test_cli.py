"""The `streamspan` command."""

import io
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from pathlib import Path

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from streamspan import semconv
from streamspan.cli import main
from streamspan.cli.demo.anthropic.provider import PROVIDER
from streamspan.cli.demo.provider import provider_named
from streamspan.cli.demo.show import JsonLines, run

FAST = ["--speed", "50"]


@dataclass(frozen=True, slots=True)
class Received:
    traces: list[ExportTraceServiceRequest] = field(default_factory=list[ExportTraceServiceRequest])
    metrics: list[ExportMetricsServiceRequest] = field(default_factory=list[ExportMetricsServiceRequest])

    @property
    def outcomes(self) -> list[str]:
        """Of the spans, in the order in which they came."""
        return [
            attribute.value.string_value
            for request in self.traces
            for span in request.resource_spans[0].scope_spans[0].spans
            for attribute in span.attributes
            if attribute.key == semconv.OUTCOME
        ]

    @property
    def counted(self) -> list[dict[str, float]]:
        """The streams by outcome, without those of which there are none: in each export."""
        points = [
            metric.sum.data_points
            for request in self.metrics
            for metric in request.resource_metrics[0].scope_metrics[0].metrics
            if metric.name == semconv.STREAMS.name
        ]
        return [
            {
                attribute.value.string_value: point.as_double or point.as_int
                for point in export
                for attribute in point.attributes
                if attribute.key == semconv.OUTCOME and (point.as_double or point.as_int)
            }
            for export in points
        ]


@contextmanager
def otlp_receiver(status: int, metrics_status: int = 200) -> Generator[tuple[str, Received], None, None]:
    """An OTLP/HTTP endpoint that answers with this status, and what it has received."""
    received = Received()

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.path == "/v1/traces":
                received.traces.append(ExportTraceServiceRequest.FromString(body))
            else:
                received.metrics.append(ExportMetricsServiceRequest.FromString(body))
            self.send_response(status if self.path == "/v1/traces" else metrics_status)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None: ...  # noqa: A002  # the base class names it

    with ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
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


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    """That of the package that is installed."""
    with pytest.raises(SystemExit) as ended:
        main(["--version"])

    assert ended.value.code == 0
    assert capsys.readouterr().out == f"{version('streamspan')}\n"


def test_list_names_every_story(capsys: pytest.CaptureFixture[str]) -> None:
    """`--list` has a line for each story, its name first, and plays none."""
    assert main(["demo", "--list"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [
        story.name for story in PROVIDER.stories
    ]


def test_list_of_the_other_provider(capsys: pytest.CaptureFixture[str]) -> None:
    """`--list` has the stories of the provider that is chosen."""
    assert main(["demo", "--provider", "openai", "--list"]) == 0
    names = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert names == [story.name for story in provider_named("openai").stories]


def test_story_of_the_other_provider(capsys: pytest.CaptureFixture[str]) -> None:
    """`--provider openai` plays by OpenAI's SDK."""
    assert main(["demo", *FAST, "--provider", "openai", "--json", "--story", "clean"]) == 0
    [line] = capsys.readouterr().out.splitlines()
    assert json.loads(line)["attributes"]["gen_ai.provider.name"] == "openai"


def test_list_in_a_narrow_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not fit into a line of the terminal goes on below the words, not below the name."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    main(["demo", "--list"])
    lines = capsys.readouterr().out.splitlines()

    assert max(map(len, lines)) <= 80
    assert [line.split()[0] for line in lines if line[0] != " "] == [story.name for story in PROVIDER.stories]
    assert all(line.startswith(" " * 21) for line in lines if line[0] == " ")


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
        (["--provider", "nobody"], "invalid choice: 'nobody'"),
        (["--speed", "0"], "must be more than 0"),
        (["--speed", "fast"], "invalid positive value"),
        (["--repeat", "0"], "must be 1 or more"),
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
    story = replace(PROVIDER.stories[0], outcome="aborted", abort_reason="closed")

    assert run(replace(PROVIDER, stories=[story]), JsonLines(), speed=50, otlp=None) == 1
    assert capsys.readouterr().err == ("streamspan: story clean: expected aborted (closed), got complete\n")


def test_missing_finding_is_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    """A story inside which less is found than it says makes the exit status 1, and is named."""
    story = replace(PROVIDER.stories[0], findings=("loop",))

    assert run(replace(PROVIDER, stories=[story]), JsonLines(), speed=50, otlp=None) == 1
    assert capsys.readouterr().err == "streamspan: story clean: expected loop, not found\n"


def test_missing_package_is_named() -> None:
    """Without the `demo` extra the command names the package and the pip command, on one line."""
    code = "import sys; sys.modules['rich'] = None; from streamspan.cli import main; sys.exit(main(['demo']))"
    left = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert left.returncode == 1
    assert left.stderr == 'streamspan: rich.console is missing; run: pip install "streamspan[demo]"\n'


def test_missing_sdk_is_named() -> None:
    """So is the SDK of the provider that is chosen."""
    arguments = ["demo", "--provider", "openai"]
    code = f"import sys; sys.modules['openai'] = None; from streamspan.cli import main; sys.exit(main({arguments}))"
    left = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert left.returncode == 1
    assert left.stderr == 'streamspan: openai is missing; run: pip install "streamspan[demo]"\n'


def test_module_is_the_command() -> None:
    """`python -m streamspan` is the command, and leaves nothing open."""
    command = [sys.executable, "-W", "default", "-m", "streamspan", "demo", *FAST, "--story", "clean"]
    left = subprocess.run(command, capture_output=True, text=True, check=False, encoding="utf-8")

    assert (left.returncode, left.stderr) == (0, "")
    assert "COMPLETE, end_turn" in left.stdout


def test_otlp_sends_the_same_spans(capsys: pytest.CaptureFixture[str]) -> None:
    """`--otlp` sends every stream to the endpoint, under the service name of the demo, and plays the stories twice."""
    with otlp_receiver(200) as (endpoint, received):
        status = main(["demo", *FAST, "--story", "clean", "--story", "stop", "--otlp", endpoint])
    sent = received.traces[0].resource_spans[0]
    service = {item.key: item.value.string_value for item in sent.resource.attributes}["service.name"]

    assert (status, service) == (0, "streamspan-demo")
    assert received.outcomes == ["complete", "aborted", "complete", "aborted"]
    printed = capsys.readouterr()
    assert printed.out.count("ABORTED, closed") == 1
    assert printed.err.count("Playing all again for the metrics") == 1
    assert f"Sent 4 spans and the metrics to {endpoint}." in printed.err


def test_otlp_sends_the_metrics(capsys: pytest.CaptureFixture[str]) -> None:
    """The metrics go there, too, after each story: a counter goes on from one time to the next."""
    with otlp_receiver(200) as (endpoint, received):
        main(["demo", *FAST, "--story", "clean", "--story", "cut-off", "--repeat", "2", "--otlp", endpoint])

    steps = [counted for at, counted in enumerate(received.counted) if counted not in received.counted[:at]]
    assert steps == [
        {"complete": 1},
        {"complete": 1, "truncated": 1},
        {"complete": 2, "truncated": 1},
        {"complete": 2, "truncated": 2},
    ]
    assert capsys.readouterr().err.endswith(f"Sent 4 spans and the metrics to {endpoint}.\n")


def test_otlp_endpoint_that_takes_traces_only(capsys: pytest.CaptureFixture[str]) -> None:
    """An endpoint that refuses metrics is asked once, gets the spans all the same, and that is said."""
    with otlp_receiver(200, metrics_status=404) as (endpoint, received):
        status = main(["demo", *FAST, "--story", "clean", "--otlp", endpoint])

    assert (status, received.outcomes, len(received.metrics)) == (0, ["complete", "complete"], 1)
    assert f"Sent 2 spans and no metrics, which it refused, to {endpoint}." in capsys.readouterr().err


def test_repeat_draws_once(capsys: pytest.CaptureFixture[str]) -> None:
    """`--repeat` plays again without drawing again, and without a word of metrics that nobody gets."""
    assert main(["demo", *FAST, "--story", "clean", "--repeat", "3", "--json"]) == 0
    printed = capsys.readouterr()
    assert len(printed.out.splitlines()) == 1
    assert printed.err == ""


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

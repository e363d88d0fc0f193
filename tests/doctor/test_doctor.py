"""`streamspan doctor` in real environments: folders of packages, variables, sockets."""

import os
import re
import socket
import ssl
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import anthropic
import openai
import pytest

from streamspan.anthropic.provider import TRACES_ITSELF
from streamspan.cli.doctor import packages, seam
from tests.doctor.environment import Environment
from tests.doctor.grpc_receiver import grpc_receiver
from tests.launch.receiver import OtlpReceiver

pytest.importorskip("opentelemetry.distro", reason="what is examined is an environment with opentelemetry-distro")

DISABLED = "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"
ZERO_CODE = ("streamspan", "anthropic", "openai", "opentelemetry-distro", "opentelemetry-exporter-otlp-proto-http")
REDIS_OFF = {DISABLED: "redis"}
HTTP = {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}
FIELDS = frozenset({"check", "status", "text", "command"})
SEND = {"text": "see whether a test span is accepted", "command": "streamspan doctor --send"}
OPENLLMETRY = (
    "[opentelemetry_instrumentor]\nanthropic = opentelemetry.instrumentation.anthropic:AnthropicInstrumentor\n"
)
OF_OPENAI = {
    "opentelemetry-instrumentation-openai-v2": "opentelemetry.instrumentation.openai_v2",
    "opentelemetry-instrumentation-genai-openai": "opentelemetry.instrumentation.genai.openai",
    "opentelemetry-instrumentation-openai": "opentelemetry.instrumentation.openai",
    "openinference-instrumentation-openai": "openinference.instrumentation.openai",
}


@pytest.fixture(scope="module")
def linked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all that `pip install "streamspan[zero-code]"` brings, but for gRPC."""
    folder = tmp_path_factory.mktemp("packages")
    Environment(folder, *ZERO_CODE)
    return folder


@pytest.fixture
def whole(linked: Path, tmp_path: Path) -> Environment:
    """The same, for what a test adds in front."""
    environment = Environment(tmp_path)
    for part in linked.iterdir():
        environment.link(Path(part.name), part)
    return environment


@pytest.fixture
def bare(tmp_path: Path) -> Environment:
    return Environment(tmp_path, "streamspan")


@pytest.fixture
def receiver() -> Iterator[OtlpReceiver]:
    with OtlpReceiver() as running:
        yield running


@pytest.fixture
def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def test_a_bare_install(bare: Environment) -> None:
    """With nothing but streamspan it runs, and names what is missing and the command for all of it."""
    examined = bare.examined("--json")

    assert (examined.status, examined.errors) == (1, "")
    assert examined.bad == {"installed.sdk": "problem", "installed.opentelemetry-sdk": "problem"}
    assert examined.report["next_step"] == {
        "text": "neither anthropic nor openai is installed: there is nothing to instrument",
        "command": 'pip install "streamspan[anthropic,zero-code]"  # or openai',
    }


def test_one_sdk_is_enough(tmp_path: Path) -> None:
    """Who has only OpenAI's SDK reads nothing of Anthropic's."""
    examined = Environment(tmp_path, "streamspan", "openai", "opentelemetry-sdk").examined()

    assert (examined.status, examined.errors) == (0, "")
    assert "anthropic" not in examined.output
    assert re.search(r"ok       openai \S+ \(supported: <4,>=1\.66\)\n", examined.output)


WITHOUT_RETRIES = {
    f"seam.{sdk.__name__}.{client}._sleep_for_retry": "warning"
    for sdk in (anthropic, openai)
    for client in ("SyncAPIClient", "AsyncAPIClient")
    if not hasattr(getattr(sdk._base_client, client), "_sleep_for_retry")
}
"""What the oldest SDKs lack: their retries are not seen."""


def test_everything_right(whole: Environment, receiver: OtlpReceiver) -> None:
    """Where all is right there is no bad finding, nothing is sent, and the next step is to send a test span.

    The JSON is one object of version 1 with four fields, and each finding has the same four.
    """
    examined = whole.examined("--json", OTEL_EXPORTER_OTLP_ENDPOINT=receiver.endpoint, OTEL_SERVICE_NAME="chat", **HTTP)

    assert (examined.status, examined.errors, examined.bad) == (0, "", WITHOUT_RETRIES)
    assert examined.of("export.traces")["text"] == (
        f"traces go by http/protobuf to {receiver.endpoint}/v1/traces (OTEL_EXPORTER_OTLP_ENDPOINT): can be reached"
    )
    assert WITHOUT_RETRIES or examined.report["next_step"] == SEND
    assert receiver.spans == []
    assert (examined.report["version"], examined.report["status"]) == (1, "warning" if WITHOUT_RETRIES else "ok")
    assert set(examined.report) == {"version", "status", "findings", "next_step"}
    assert {frozenset(item) for item in examined.report["findings"]} == {FIELDS}


def test_send(whole: Environment, receiver: OtlpReceiver) -> None:
    """`--send` sends one span of scope streamspan, whatever the sampler, and says how to find it."""
    examined = whole.examined(
        "--send",
        "--json",
        OTEL_EXPORTER_OTLP_ENDPOINT=receiver.endpoint,
        OTEL_SERVICE_NAME="chat",
        OTEL_TRACES_SAMPLER="traceidratio",
        OTEL_TRACES_SAMPLER_ARG="0.001",
        **HTTP,
    )

    assert (examined.status, examined.errors) == (0, "")
    assert [(span.service_name, span.scope, span.name) for span in receiver.spans] == [
        ("chat", "streamspan", "streamspan doctor")
    ]
    assert examined.of("export.send")["text"].startswith(
        "a test span was accepted: 'streamspan doctor', service.name 'chat', trace "
    )
    assert examined.report["next_step"]["command"] == "opentelemetry-instrument python app.py"


def test_send_to_one_that_refuses(whole: Environment) -> None:
    """A span that was not accepted is a problem, with the reason that the exporter gives."""
    with OtlpReceiver(status=401) as receiver:
        examined = whole.examined("--send", "--json", OTEL_EXPORTER_OTLP_ENDPOINT=receiver.endpoint, **HTTP)

    assert (examined.status, examined.errors, examined.bad) == (1, "", {"export.send": "problem"})
    assert "401" in examined.of("export.send")["text"]
    assert examined.report["next_step"]["command"].startswith("export OTEL_EXPORTER_OTLP_HEADERS=authorization=")


def test_send_by_grpc(tmp_path: Path) -> None:
    """With gRPC, which is the default, the span goes by gRPC; the port of an address without a scheme is found, too."""
    environment = Environment(tmp_path, *ZERO_CODE, "opentelemetry-exporter-otlp-proto-grpc")
    with grpc_receiver() as (endpoint, names):
        examined = environment.examined(
            "--send",
            "--json",
            OTEL_EXPORTER_OTLP_ENDPOINT=endpoint,
            OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=endpoint.removeprefix("http://"),
            OTEL_EXPORTER_OTLP_METRICS_INSECURE="true",
        )

    assert (examined.status, examined.bad, names) == (0, {}, ["streamspan doctor"])
    assert examined.of("export.traces")["text"].startswith(f"traces go by grpc to {endpoint} (")
    assert examined.of("export.metrics")["status"] == "ok"


def test_http_to_who_speaks_grpc(whole: Environment) -> None:
    """Where a connection opens and another protocol is spoken, --send finds out."""
    with grpc_receiver() as (endpoint, _):
        examined = whole.examined(
            "--send", "--json", OTEL_EXPORTER_OTLP_ENDPOINT=endpoint, OTEL_EXPORTER_OTLP_TIMEOUT="2", **HTTP
        )

    assert (examined.status, examined.bad) == (1, {"export.send": "problem"})
    assert examined.report["next_step"]["command"].startswith("export OTEL_EXPORTER_OTLP_PROTOCOL=grpc")


def test_nobody_listens(whole: Environment, closed_port: int) -> None:
    """A closed port is a problem of each signal that goes there, and no test span is sent."""
    endpoint = f"http://127.0.0.1:{closed_port}"
    examined = whole.examined("--send", "--json", OTEL_EXPORTER_OTLP_ENDPOINT=endpoint, **HTTP)

    assert (examined.status, examined.errors) == (1, "")
    assert examined.bad == {"export.traces": "problem", "export.metrics": "problem"}
    assert examined.of("export.send")["status"] == "note"
    assert examined.report["next_step"]["command"].startswith("export OTEL_EXPORTER_OTLP_ENDPOINT=")


def test_each_signal_has_its_endpoint(whole: Environment, receiver: OtlpReceiver, closed_port: int) -> None:
    """The variables of one signal go before those of all, and name a whole address."""
    examined = whole.examined(
        "--json",
        OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{closed_port}",
        OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=receiver.endpoint,
        **HTTP,
    )

    assert examined.bad == {"export.traces.path": "warning", "export.metrics": "problem"}
    assert examined.of("export.traces.path")["command"] == "unset OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"


def test_the_log_where_events_go_there(whole: Environment, receiver: OtlpReceiver) -> None:
    """Logs are looked at where the events of a stream go to them."""
    examined = whole.examined("--json", OTEL_EXPORTER_OTLP_ENDPOINT=receiver.endpoint, STREAMSPAN_EVENTS="log", **HTTP)

    assert examined.of("export.logs")["status"] == "ok"


def test_an_endpoint_that_is_no_address(whole: Environment) -> None:
    """What the exporter could not send to is told as what is wrong with it."""
    examined = whole.examined("--json", OTEL_EXPORTER_OTLP_ENDPOINT="http://", **HTTP)

    assert (examined.status, examined.of("export.traces")["text"]) == (1, "OTEL_EXPORTER_OTLP_ENDPOINT names no host")


def test_the_exporter_of_the_default_protocol_is_missing(whole: Environment) -> None:
    """Without a protocol the SDK takes gRPC; where only the other exporter is installed, that is the next step."""
    examined = whole.examined("--json")

    assert examined.status == 1
    assert examined.of("export.service")["command"] == "export OTEL_SERVICE_NAME=chat"
    assert examined.bad == {"export.traces.exporter": "problem", "export.metrics.exporter": "problem"}
    assert examined.report["next_step"]["command"] == "export OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf"


def test_a_proxy(whole: Environment, receiver: OtlpReceiver) -> None:
    """Where the exporter goes through a proxy, the proxy is what is reached."""
    proxy = receiver.endpoint.removeprefix("http://")
    examined = whole.examined(
        "--json",
        OTEL_EXPORTER_OTLP_ENDPOINT="http://collector.invalid",
        HTTP_PROXY=f"http://someone:secret@{proxy}",
        **HTTP,
    )

    assert examined.bad == {}
    assert f"http://collector.invalid:80/v1/traces through the proxy {proxy}" in examined.output


# --- what is installed ----------------------------------------------------------------------------------------------


def test_another_instrumentation(whole: Environment) -> None:
    """Another instrumentation of the SDK is a warning, with the switch; what is switched off already stays so."""
    whole.add("opentelemetry-instrumentation-anthropic", "0.62.4", entry_points=OPENLLMETRY)
    examined = whole.examined("--json", OTEL_TRACES_EXPORTER="console", OTEL_METRICS_EXPORTER="console", **REDIS_OFF)

    assert (examined.status, examined.bad) == (0, {"spans.other.anthropic": "warning"})
    assert examined.report["next_step"] == {
        "text": "opentelemetry-instrumentation-anthropic makes a span of each streamed call of anthropic, too, where "
        "opentelemetry-instrument starts it",
        "command": "export OTEL_PYTHON_DISABLED_INSTRUMENTATIONS=redis,anthropic",
    }


@pytest.mark.parametrize(("name", "module"), OF_OPENAI.items())
def test_another_instrumentation_of_openai(bare: Environment, name: str, module: str) -> None:
    """Those of OpenAI's SDK are known, too, and are none of Anthropic's."""
    bare.add("anthropic", "2.14.0")
    bare.add("openai", "3.57.0")
    bare.add(name, "1.0", entry_points=f"[opentelemetry_instrumentor]\nopenai = {module}:OpenAIInstrumentor\n")
    examined = bare.examined("--json")

    assert examined.of("spans.other.anthropic")["status"] == "ok"
    assert examined.of("spans.other.openai") == {
        "check": "spans.other.openai",
        "status": "warning",
        "text": f"{name} makes a span of each streamed call of openai, too, where opentelemetry-instrument starts it",
        "command": f"export {DISABLED}=openai",
    }


def test_an_instrumentation_of_what_is_built_on_the_sdk(bare: Environment) -> None:
    """That of a framework is no other one of the SDK, though its name has the SDK's in it."""
    bare.add("openai", "3.57.0")
    points = "[opentelemetry_instrumentor]\nopenai_agents = opentelemetry.instrumentation.openai_agents:Instrumentor\n"
    bare.add("opentelemetry-instrumentation-openai-agents-v2", "1.0", entry_points=points)

    assert bare.examined("--json").of("spans.other.openai")["status"] == "ok"


def test_another_instrumentation_that_is_switched_off(bare: Environment) -> None:
    """Once it is switched off it is no warning."""
    bare.add("anthropic", "2.14.0")
    bare.add("opentelemetry-instrumentation-anthropic", "0.62.4", entry_points=OPENLLMETRY)
    examined = bare.examined("--json", OTEL_PYTHON_DISABLED_INSTRUMENTATIONS="redis, anthropic")

    assert examined.of("spans.other.anthropic") == {
        "check": "spans.other.anthropic",
        "status": "ok",
        "text": f"opentelemetry-instrumentation-anthropic is installed, and {DISABLED} switches it off",
        "command": None,
    }


def test_another_instrumentation_that_the_application_starts(bare: Environment) -> None:
    """One that no variable switches off is a note, with what the application has to leave out."""
    bare.add("anthropic", "2.14.0")
    bare.add("logfire", "5.4.0")
    examined = bare.examined("--json")

    assert examined.of("spans.other.anthropic")["status"] == "note"
    assert examined.of("spans.other.anthropic")["text"].endswith(
        "leave out logfire.instrument_anthropic(), beside which a streamed call may have no span of ours"
    )


@pytest.mark.parametrize(
    ("name", "version", "text"),
    [
        ("anthropic", "0.40.0", "streamspan needs anthropic<3,>=0.51, and 0.40.0 is installed"),
        ("anthropic", "3.0.0", "streamspan needs anthropic<3,>=0.51, and 3.0.0 is installed"),
        ("openai", "1.65.5", "streamspan needs openai<4,>=1.66, and 1.65.5 is installed"),
        ("opentelemetry-distro", "0.48b0", "streamspan needs opentelemetry-distro>=0.56b0, and 0.48b0 is installed"),
    ],
)
def test_a_version_out_of_range(bare: Environment, name: str, version: str, text: str) -> None:
    """A package that is too old or too new for streamspan is a problem, though an extra brings it."""
    bare.add(name, version)
    examined = bare.examined("--json")

    assert examined.of(f"installed.{name}.version")["text"] == text
    assert examined.of(f"installed.{name}.version")["status"] == "problem"


def test_versions_that_do_not_fit_each_other(bare: Environment) -> None:
    """An SDK that wants another API than is installed is a warning, with the command that brings it."""
    bare.add("opentelemetry-sdk", "1.99.0", metadata="Requires-Dist: opentelemetry-api==1.99.0\n")
    examined = bare.examined("--json")

    assert examined.of("installed.opentelemetry-api.version")["status"] == "warning"
    assert examined.of("installed.opentelemetry-api.version")["command"] == 'pip install "opentelemetry-api==1.99.0"'


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("raise RuntimeError('no libssl')", "RuntimeError: no libssl"),
        ("import sys; sys.exit('not on this machine')", "SystemExit: not on this machine"),
        ("import nothing_of_this_name", "ModuleNotFoundError: No module named 'nothing_of_this_name'"),
    ],
)
def test_a_package_that_cannot_be_imported(bare: Environment, source: str, text: str) -> None:
    """A package whose import raises is a problem with its reason, and what it prints is not in the JSON."""
    bare.add("anthropic", "2.11.0")
    bare.add_module("anthropic", f"print('noise')\n{source}")
    examined = bare.examined("--json")

    assert examined.status == 1
    assert examined.of("installed.anthropic.import")["status"] == "problem"
    assert examined.of("installed.anthropic.import")["text"].endswith(text)
    assert "Traceback" not in examined.errors


@pytest.mark.parametrize(
    ("sdk", "check", "text"),
    [
        ("anthropic", "seam.anthropic", "streamspan cannot be imported beside anthropic 2.99.0: Module"),
        ("openai", "seam.openai.Stream.__stream__", "openai 2.99.0 has no Stream.__stream__: streams are not seen"),
    ],
)
def test_an_sdk_of_another_shape(bare: Environment, sdk: str, check: str, text: str) -> None:
    """An SDK beside which streamspan cannot start, or sees nothing, is a problem."""
    bare.add(sdk, "2.99.0")
    bare.add_module(sdk, "")
    examined = bare.examined("--json")

    assert examined.of(check)["status"] == "problem"
    assert examined.of(check)["text"].startswith(text)


@pytest.mark.parametrize(("sdk", "other"), [("anthropic", "openai"), ("openai", "anthropic")])
def test_an_sdk_without_what_is_patched(monkeypatch: pytest.MonkeyPatch, sdk: str, other: str) -> None:
    """Each function that this SDK does not have is told: a problem where no stream would be seen without."""
    monkeypatch.delattr(f"{sdk}._base_client.SyncAPIClient.request")
    monkeypatch.delattr(f"{sdk}._streaming.AsyncStream.close")

    assert {found.check: found.status for found in seam.patched({})} == {
        f"seam.{sdk}": "ok",
        f"seam.{sdk}.targets": "ok",
        f"seam.{sdk}.SyncAPIClient.request": "problem",
        f"seam.{sdk}.AsyncStream.close": "warning",
        f"seam.{other}": "ok",
        f"seam.{other}.targets": "ok",
        **WITHOUT_RETRIES,
    }


def test_an_installation_that_was_left_half_done(bare: Environment) -> None:
    """A folder of metadata without metadata does not matter."""
    (bare.folder / "half-1.0.dist-info").mkdir()
    examined = bare.examined("--json")

    assert (examined.status, examined.errors) == (1, "")


def test_a_launcher_of_another_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An opentelemetry-instrument that would start the application elsewhere is a warning."""
    here = Path(sys.executable).parent
    other = tmp_path / "opentelemetry-instrument"
    other.symlink_to(here / "opentelemetry-instrument")
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{here}")

    [found] = packages.launcher({})

    assert found.status == "warning"
    assert found.command == f'export PATH="{here}:$PATH"'


# --- what is printed -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("port", "arguments"), [("open", ["--send", "--json"]), ("closed", ["--send"])])
def test_secrets(whole: Environment, closed_port: int, port: str, arguments: list[str]) -> None:
    """No header, user, password or query of an address is printed, even where the exporter tells the whole address."""
    with OtlpReceiver(status=503) as receiver:
        address = receiver.endpoint.removeprefix("http://") if port == "open" else f"127.0.0.1:{closed_port}"
        examined = whole.examined(
            *arguments,
            OTEL_EXPORTER_OTLP_ENDPOINT=f"http://MARKER-user:MARKER-password@{address}/?key=MARKER-query",
            OTEL_EXPORTER_OTLP_HEADERS="authorization=Basic%20MARKER-header,x=MARKER-other",
            OTEL_EXPORTER_OTLP_TIMEOUT="1",
            **HTTP,
        )

    assert examined.status == 1
    assert "MARKER" not in examined.output + examined.errors


def test_text(bare: Environment) -> None:
    """The text has 100 columns, its last line is the command of the next step, and a pipe gets no colours."""
    examined = bare.examined()

    lines = examined.output.splitlines()
    assert max(map(len, lines)) <= 100
    assert "\x1b" not in examined.output
    assert "  problem  neither anthropic nor openai is installed: there is nothing to instrument" in lines
    assert lines[-1] == '    pip install "streamspan[anthropic,zero-code]"  # or openai'


@pytest.mark.skipif(not TRACES_ITSELF, reason="the page shows an SDK of 1.14 or later")
def test_the_page(whole: Environment) -> None:
    """Who pastes the first command of docs/doctor.md sees what is below it, but for versions and folders."""
    page = (Path(__file__).parents[2] / "docs" / "doctor.md").read_text(encoding="utf-8")
    [command, *_], [shown] = (
        re.findall(r"```sh\n(.*?)```", page, re.DOTALL),
        re.findall(r"```text\n(.*?)```", page, re.DOTALL),
    )
    examined = whole.pasted(command)

    assert (examined.status, examined.errors) == (1, "")
    assert without_versions(examined.output) == without_versions(shown)


def without_versions(text: str) -> str:
    return re.sub(r"(?m)^(.* Python ).*$", r"\1", re.sub(r"\b\d+(\.\w+)+", "N", text))


def test_wrong_usage(bare: Environment) -> None:
    """Wrong usage is exit status 2."""
    assert bare.examined("--sent").status == 2


def test_a_proxy_that_is_not_there(whole: Environment, closed_port: int) -> None:
    """A proxy that cannot be reached is a problem, and the next step goes past it."""
    proxy = f"http://127.0.0.1:{closed_port}"
    examined = whole.examined(
        "--json", OTEL_EXPORTER_OTLP_ENDPOINT="http://collector.invalid", HTTP_PROXY=proxy, **HTTP
    )

    assert examined.bad == {"export.traces": "problem", "export.metrics": "problem"}
    assert examined.of("export.traces")["command"] == "export NO_PROXY=collector.invalid"


def test_the_application_sets_up_the_sdk(tmp_path: Path, receiver: OtlpReceiver) -> None:
    """Without opentelemetry-distro the environment is read as the application's own OTLP exporter reads it."""
    installed = ("streamspan", "anthropic", "opentelemetry-sdk", "opentelemetry-exporter-otlp-proto-http")
    environment = Environment(tmp_path, *installed)
    examined = environment.examined("--send", "--json", OTEL_EXPORTER_OTLP_ENDPOINT=receiver.endpoint)

    assert (examined.status, examined.bad) == (0, {})
    assert examined.of("export.setup")["status"] == "note"
    assert [span.name for span in receiver.spans] == ["streamspan doctor"]
    assert examined.report["next_step"]["command"] == "python app.py"


# --- TLS -------------------------------------------------------------------------------------------------------------

CERTIFICATE = Path(__file__).with_name("localhost.pem")


@pytest.fixture
def tls_port() -> Iterator[int]:
    """Who listens there shakes hands and hangs up."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)

    def serve() -> None:
        while True:
            connection, _ = listener.accept()
            with connection:
                if connection.recv(1, socket.MSG_PEEK) == b"q":
                    return
                try:
                    context.wrap_socket(connection, server_side=True).close()
                except OSError:
                    continue

    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        thread = Thread(target=serve)
        thread.start()
        yield port
        with socket.create_connection(("127.0.0.1", port)) as last:
            last.sendall(b"q")
        thread.join()


def test_a_certificate_that_is_not_trusted(whole: Environment, tls_port: int) -> None:
    """The handshake is made, and an authority that the exporter does not know is a problem."""
    endpoint = f"https://localhost:{tls_port}"
    examined = whole.examined("--json", OTEL_EXPORTER_OTLP_ENDPOINT=endpoint, **HTTP)

    assert examined.status == 1
    assert "its certificate is not trusted: self-signed certificate" in examined.of("export.traces")["text"]


def test_a_certificate_that_is_named(whole: Environment, tls_port: int) -> None:
    """The authority of OTEL_EXPORTER_OTLP_CERTIFICATE is trusted."""
    endpoint = f"https://localhost:{tls_port}"
    named = {"OTEL_EXPORTER_OTLP_CERTIFICATE": str(CERTIFICATE)}
    examined = whole.examined("--json", OTEL_EXPORTER_OTLP_ENDPOINT=endpoint, **named, **HTTP)

    assert (examined.status, examined.bad) == (0, {})


def test_a_certificate_that_is_not_there(whole: Environment, tls_port: int) -> None:
    """A file of certificates that is not there is a problem, and its variable is named."""
    named = {"OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE": "nowhere.pem", "OTEL_EXPORTER_OTLP_CERTIFICATE": str(CERTIFICATE)}
    endpoint = f"https://localhost:{tls_port}"
    examined = whole.examined("--json", OTEL_EXPORTER_OTLP_ENDPOINT=endpoint, **named, **HTTP)

    assert examined.bad == {"export.traces": "problem"}
    assert examined.of("export.traces")["text"].endswith(": OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE names no file")


def test_no_tls_there(whole: Environment, receiver: OtlpReceiver) -> None:
    """https to a port without TLS is a problem."""
    endpoint = receiver.endpoint.replace("http:", "https:")
    examined = whole.examined("--json", OTEL_EXPORTER_OTLP_ENDPOINT=endpoint, **HTTP)

    assert examined.status == 1
    assert ": no TLS there: " in examined.of("export.traces")["text"]

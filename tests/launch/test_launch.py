"""A real application in a process of its own, with a real exporter, from the call to the span at the receiver."""

import importlib.util
import math
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pytest

from streamspan.cli.demo import wire
from streamspan.cli.demo.script import Pause
from streamspan.cli.demo.server import MessagesServer
from streamspan.config import SETTINGS

pytest.importorskip("opentelemetry.distro", reason="opentelemetry-instrument needs opentelemetry-distro")
pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="needs opentelemetry-exporter-otlp-proto-http")

from tests.launch.environment import calls, environment
from tests.launch.receiver import OtlpReceiver, ReceivedSpan  # needs what may be missing

PLAIN = (sys.executable,)
AUTO_LAUNCHED = (Path(sys.executable).parent / "opentelemetry-instrument", sys.executable)
TIMEOUT_SECONDS = 240
SCOPES_OF_THE_SDK = {"com.anthropic.sdk.python"} if importlib.util.find_spec("anthropic._tracing") else set[str]()
"""What the SDK tells of itself, from 1.14 on."""

HALLO = [*wire.whole_message(wire.text_block(0, "Grüße aus Köln", size=5), output_tokens=8)]
HANGING = [*HALLO[:5], Pause(math.inf)]

REQUEST = """
request = dict(
    model="claude-x", max_tokens=100, messages=[{"role": "user", "content": "Hi"}], stream=True
)
"""
SYNC_APP = f"""
import anthropic
{REQUEST}
with anthropic.Anthropic() as client:
    for event in client.messages.create(**request):
        if event.type == "content_block_delta":
            print(event.delta.text, end="")
"""
ASYNC_APP = f"""
import asyncio
import anthropic
{REQUEST}
async def main():
    async with anthropic.AsyncAnthropic() as client:
        async for event in await client.messages.create(**request):
            if event.type == "content_block_delta":
                print(event.delta.text, end="")

asyncio.run(main())
"""
LEAVING_APP = f"""
import anthropic
{REQUEST}
client = anthropic.Anthropic()
stream = client.messages.create(**request)
for event in stream:
    if event.type == "content_block_delta":
        print(event.delta.text, end="")
        break
held = iter(stream)  # so that nothing is dropped before the exit
"""
A_SPAN_OF_THE_APP = """
from opentelemetry import trace

trace.get_tracer("app").start_span("mine").end()
"""
TELEMETRY_OF_THE_APP = """
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from streamspan import AnthropicStreamInstrumentor

provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
trace.set_tracer_provider(provider)
AnthropicStreamInstrumentor().instrument()
"""


class Ended(NamedTuple):
    """How an application ended."""

    returncode: int
    output: str
    errors: str


@dataclass(frozen=True, slots=True)
class Launchpad:
    """Where an application is started: its folder and environment, the server it calls, the receiver it tells."""

    server: MessagesServer
    receiver: OtlpReceiver
    environment: Mapping[str, str]
    folder: Path

    def run(self, command: Sequence[str | Path], source: str, **environment: str) -> Ended:
        app = self.folder / "app.py"
        app.write_text(source, encoding="utf-8")
        ended = subprocess.run(
            [*command, app],
            env={**self.environment, **environment},
            cwd=self.folder,
            capture_output=True,
            encoding="utf-8",
            check=False,
            timeout=TIMEOUT_SECONDS,
        )
        return Ended(ended.returncode, ended.stdout, ended.stderr)


@pytest.fixture
def launchpad(server: MessagesServer, tmp_path: Path) -> Iterator[Launchpad]:
    with OtlpReceiver() as receiver:
        yield Launchpad(server, receiver, {**environment(receiver), **calls(server)}, tmp_path)


def told(spans: Sequence[ReceivedSpan], names: Sequence[str]) -> list[dict[str, object]]:
    """Of every span that was received: whose it is, and the named attributes; None is one that is absent."""
    return [
        {
            "service.name": span.service_name,
            "scope": span.scope,
            "name": span.name,
            **{name: span.attributes.get(name) for name in names},
        }
        for span in spans
    ]


ATTRIBUTES = (
    "gen_ai.response.finish_reasons",
    "gen_ai.usage.output_tokens",
    "llm_stream.abort.connection_closed",
    "llm_stream.abort.reason",
    "llm_stream.outcome",
    "llm_stream.partial",
    "llm_stream.phase",
    "llm_stream.text.chars",
)
WHOLE = {
    "service.name": "hallo",
    "scope": "streamspan",
    "name": "chat claude-x",
    "gen_ai.response.finish_reasons": ["end_turn"],
    "gen_ai.usage.output_tokens": 8,
    "llm_stream.abort.connection_closed": None,
    "llm_stream.abort.reason": None,
    "llm_stream.outcome": "complete",
    "llm_stream.partial": False,
    "llm_stream.phase": None,
    "llm_stream.text.chars": 14,
}
LEFT = {
    **WHOLE,
    "gen_ai.response.finish_reasons": ["error"],
    "gen_ai.usage.output_tokens": None,
    "llm_stream.abort.connection_closed": False,
    "llm_stream.abort.reason": "shutdown",
    "llm_stream.outcome": "aborted",
    "llm_stream.partial": True,
    "llm_stream.phase": "text",
    "llm_stream.text.chars": 5,
}


@pytest.mark.parametrize("source", [SYNC_APP, ASYNC_APP], ids=["sync", "async"])
def test_auto_launch(source: str, launchpad: Launchpad) -> None:
    """An application that knows nothing of streamspan has one span for its stream, and none of the SDK's own."""
    launchpad.server.scripts.append(HALLO)

    ended = launchpad.run(AUTO_LAUNCHED, source)

    assert ended == Ended(0, "Grüße aus Köln", "")
    assert told(launchpad.receiver.spans, ATTRIBUTES) == [WHOLE]


def test_one_call_to_instrument(launchpad: Launchpad) -> None:
    """An application with a tracer provider of its own, that calls `instrument()`, has the same one span."""
    launchpad.server.scripts.append(HALLO)

    ended = launchpad.run(PLAIN, TELEMETRY_OF_THE_APP + SYNC_APP)

    assert ended == Ended(0, "Grüße aus Köln", "")
    assert told(launchpad.receiver.spans, ATTRIBUTES) == [WHOLE]


def test_switched_off_by_name(launchpad: Launchpad) -> None:
    """`OTEL_PYTHON_DISABLED_INSTRUMENTATIONS=anthropic_stream` switches off streamspan, and nothing else."""
    launchpad.server.scripts.append(HALLO)

    ended = launchpad.run(
        AUTO_LAUNCHED, SYNC_APP + A_SPAN_OF_THE_APP, OTEL_PYTHON_DISABLED_INSTRUMENTATIONS="anthropic_stream"
    )

    assert ended == Ended(0, "Grüße aus Köln", "")
    assert {span.scope for span in launchpad.receiver.spans} == {"app", *SCOPES_OF_THE_SDK}


@pytest.mark.parametrize(
    ("command", "source"),
    [
        pytest.param(AUTO_LAUNCHED, LEAVING_APP, id="auto-launch"),
        pytest.param(PLAIN, TELEMETRY_OF_THE_APP + LEAVING_APP, id="instrument"),
    ],
)
def test_exit_with_an_open_stream(command: Sequence[str | Path], source: str, launchpad: Launchpad) -> None:
    """A stream that is open when the process exits has its span: aborted by the shutdown, with what it had.

    The process ends as it does without us: CPython 3.13 crashes in what SDKs before 1.0 do then.
    """
    launchpad.server.scripts.extend([HANGING, HANGING])

    bare = launchpad.run(PLAIN, LEAVING_APP)
    ended = launchpad.run(command, source)

    assert ended == bare == Ended(bare.returncode, "Grüße", "")
    assert told(launchpad.receiver.spans, ATTRIBUTES) == [LEFT]


def test_a_wrong_setting_is_told_and_left_out(launchpad: Launchpad) -> None:
    """Each SDK's instrumentation says in one clear line what is wrong; the default is used and all else works."""
    launchpad.server.scripts.append(HALLO)

    ended = launchpad.run(AUTO_LAUNCHED, SYNC_APP, STREAMSPAN_MAX_EVENTS="many")

    line = "STREAMSPAN_MAX_EVENTS='many' must be a whole number, 0 or more; using 100\n" * 2
    assert ended == Ended(0, "Grüße aus Köln", line)
    assert told(launchpad.receiver.spans, ATTRIBUTES) == [WHOLE]


OF_OPENTELEMETRY = ("OTEL_CONFIG_FILE is set; ignoring", "Attempting to instrument while already")
BY_FILE = [name for name, setting in SETTINGS.items() if setting.environment]
CONFIGURATION_FILE = """
file_format: "1.0"
resource:
  attributes: [{name: service.name, value: hallo}]
tracer_provider:
  processors: [{simple: {exporter: {otlp_http: {endpoint: "${OTEL_EXPORTER_OTLP_ENDPOINT}/v1/traces"}}}}]
instrumentation/development:
  python:
    anthropic_stream:
      max_events: ${EVENTS}
      repetition: off
      colour: green
"""


def test_the_configuration_file(launchpad: Launchpad) -> None:
    """OpenTelemetry's configuration file sets what it names, before the environment; what is wrong in it is told."""
    pytest.importorskip("opentelemetry.configuration", reason="needs opentelemetry-sdk[file-configuration]")
    launchpad.server.scripts.append(HALLO)
    file = launchpad.folder / "otel.yaml"
    file.write_text(CONFIGURATION_FILE, encoding="utf-8")

    ended = launchpad.run(
        AUTO_LAUNCHED,
        SYNC_APP,
        OTEL_CONFIG_FILE=str(file),
        EVENTS="0",
        STREAMSPAN_MAX_EVENTS="50",
        STREAMSPAN_REPETITION="exact",
    )

    names = ("llm_stream.outcome", "llm_stream.events_dropped", "llm_stream.repetition.detected")
    line = f"colour in the configuration file is no setting of streamspan; there are {', '.join(BY_FILE)}"
    assert ended[:2] == (0, "Grüße aus Köln")
    assert [said for said in ended.errors.splitlines() if not said.startswith(OF_OPENTELEMETRY)] == [line]
    assert told(launchpad.receiver.spans, names) == [
        {
            "service.name": "hallo",
            "scope": "streamspan",
            "name": "chat claude-x",
            "llm_stream.outcome": "complete",
            "llm_stream.events_dropped": 2,
            "llm_stream.repetition.detected": None,
        }
    ]

"""The environment of an application: where it tells of itself, and where the Messages API is."""

import os

from streamspan.cli.demo.server import MessagesServer
from tests.launch.receiver import OtlpReceiver

READ_BY_OTHERS = ("OTEL_", "STREAMSPAN_", "ANTHROPIC_", "OPENAI_", "PYTEST_", "PYTHON")


def environment(receiver: OtlpReceiver) -> dict[str, str]:
    """Has nothing of this process that OpenTelemetry, the SDK or streamspan would read."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(READ_BY_OTHERS)}
    return inherited | {
        "NO_PROXY": "127.0.0.1",
        "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_SERVICE_NAME": "hallo",
        "PYTHONIOENCODING": "utf-8",
    }


def calls(server: MessagesServer) -> dict[str, str]:
    return {"ANTHROPIC_API_KEY": "none", "ANTHROPIC_BASE_URL": server.url}

"""Where the OTLP exporters of OpenTelemetry send to, as `streamspan doctor` reads it."""

import pytest

from streamspan.cli.doctor.endpoint import Protocol, cure_for_unreached, doubtful, endpoint

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
OF_TRACES = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
INSECURE = "OTEL_EXPORTER_OTLP_INSECURE"


@pytest.mark.parametrize(
    ("protocol", "environment", "shown", "is_encrypted"),
    [
        ("http/protobuf", {}, "http://localhost:4318/v1/traces", False),
        ("http/protobuf", {ENDPOINT: "https://otel.example/otlp/"}, "https://otel.example:443/otlp/v1/traces", True),
        ("http/protobuf", {OF_TRACES: "http://otel.example:80/in?key=k"}, "http://otel.example:80/in", False),
        ("http/protobuf", {ENDPOINT: "http://[::1]:4318"}, "http://[::1]:4318/v1/traces", False),
        ("grpc", {}, "http://localhost:4317", False),
        ("grpc", {ENDPOINT: "https://user:password@otel.example:4317"}, "https://otel.example:4317", True),
        ("grpc", {ENDPOINT: "otel.example:4317"}, "otel.example:4317", True),
        ("grpc", {ENDPOINT: "otel.example:4317", INSECURE: "true"}, "otel.example:4317", False),
        ("grpc", {ENDPOINT: "http://otel.example:4317", INSECURE: "false"}, "http://otel.example:4317", True),
        ("grpc", {ENDPOINT: "https://otel.example:4317", INSECURE: "true"}, "https://otel.example:4317", True),
    ],
)
def test_endpoints(protocol: Protocol, environment: dict[str, str], shown: str, is_encrypted: bool) -> None:
    """Address and encryption are those of the exporter, and nothing that may be secret is shown."""
    found = endpoint(protocol, "traces", environment)

    assert (found.shown, found.is_encrypted) == (shown, is_encrypted)


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("localhost:4318", f"{ENDPOINT} must begin with http:// or https://"),
        ("http://", f"{ENDPOINT} names no host"),
        ("http://localhost:port", f"{ENDPOINT} is no address: its host or its port is malformed"),
    ],
)
def test_what_is_no_address(address: str, reason: str) -> None:
    """What the exporter could not send to is refused, with what is wrong with it."""
    with pytest.raises(ValueError, match=f"^{reason}$"):
        endpoint("http/protobuf", "traces", {ENDPOINT: address})


@pytest.mark.parametrize(
    ("protocol", "environment", "command"),
    [
        ("http/protobuf", {}, "streamspan watch  # in another terminal; or start your collector"),
        (
            "http/protobuf",
            {ENDPOINT: "https://localhost:4318"},
            f"export {ENDPOINT}=http://localhost:4318  # your collector",
        ),
        ("grpc", {}, "export OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf  # then: streamspan watch"),
        ("grpc", {ENDPOINT: "http://otel:1"}, f"export {ENDPOINT}=http://localhost:4317  # your collector"),
        (
            "http/protobuf",
            {OF_TRACES: "http://otel:1/x"},
            f"export {OF_TRACES}=http://localhost:4318/v1/traces  # your collector",
        ),
    ],
)
def test_what_to_do_where_nobody_listens(protocol: Protocol, environment: dict[str, str], command: str) -> None:
    """By default one starts the receiver that comes with streamspan; an address that was given may be wrong."""
    assert cure_for_unreached("traces", endpoint(protocol, "traces", environment)) == command


@pytest.mark.parametrize(
    ("protocol", "environment", "check", "command"),
    [
        ("http/protobuf", {ENDPOINT: "http://otel:4317"}, "port", "export OTEL_EXPORTER_OTLP_PROTOCOL=grpc"),
        ("grpc", {ENDPOINT: "http://otel:4318"}, "port", "export OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf"),
        ("http/protobuf", {OF_TRACES: "http://otel:4318"}, "path", f"unset {OF_TRACES}"),
        ("http/protobuf", {ENDPOINT: "http://otel:4318/v1/traces"}, "path", f"unset {ENDPOINT}"),
        ("grpc", {"OTEL_EXPORTER_OTLP_HEADERS": "a=b,Bearer token"}, "headers", None),
    ],
)
def test_what_mostly_is_a_mistake(
    protocol: Protocol, environment: dict[str, str], check: str, command: str | None
) -> None:
    """The port of the other protocol, a path that OTLP does not have, a header without a name are warnings."""
    [found] = doubtful("traces", endpoint(protocol, "traces", environment), environment)

    assert (found.check, found.status, found.command) == (f"export.traces.{check}", "warning", command)
    assert "token" not in found.text


@pytest.mark.parametrize(
    "environment", [{}, {OF_TRACES: "https://otel/api/v1/traces"}, {"OTEL_EXPORTER_OTLP_HEADERS": "a=b, c=d,"}]
)
def test_what_is_no_mistake(environment: dict[str, str]) -> None:
    """The defaults, a whole address of one signal and headers with names are no warnings."""
    assert list(doubtful("traces", endpoint("http/protobuf", "traces", environment), environment)) == []

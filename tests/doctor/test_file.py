"""What `streamspan doctor` says of OpenTelemetry's configuration file."""

import json
import socket
from pathlib import Path

import pytest

from streamspan.cli import main
from streamspan.cli.doctor import export, file, settings
from streamspan.cli.doctor.finding import Finding
from streamspan.cli.doctor.report import Step, findings, next_step
from tests.launch.receiver import OtlpReceiver

pytest.importorskip("opentelemetry.configuration", reason="needs opentelemetry-sdk[file-configuration]")
pytest.importorskip("opentelemetry.distro", reason="what is examined is an environment with opentelemetry-distro")

SECRET = "xyzzy-4711"
TRACES = """
tracer_provider:
  processors: [{batch: {exporter: {EXPORTER: }}}]
"""
OURS = """
instrumentation/development:
  python:
    anthropic_stream: {SETTINGS}
"""
DISABLED = "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"
CHECK = "settings.OTEL_CONFIG_FILE"


def environment(folder: Path, said: str, name: str = "otel.yaml") -> dict[str, str]:
    """The one variable, and the file that it names."""
    path = folder / name
    path.write_text(f'file_format: "1.0"\n{said}')
    return {"OTEL_CONFIG_FILE": str(path)}


def with_exporter(exporter: str) -> str:
    return TRACES.replace("{EXPORTER: }", exporter)


def with_ours(settings: str) -> str:
    return OURS.replace("{SETTINGS}", settings)


def told(found: Finding) -> tuple[str, str, str | None]:
    return found.status, found.text, found.command


@pytest.mark.parametrize(
    ("said", "finding"),
    [
        ("", ("problem", "OTEL_CONFIG_FILE names no exporter for traces: none are sent", None)),
        (with_exporter("{console: }"), ("ok", "traces go to the exporter console (OTEL_CONFIG_FILE)", None)),
        (
            with_exporter("{of_a_plugin: {a: b}}"),
            ("ok", "traces go to the exporter of_a_plugin (OTEL_CONFIG_FILE)", None),
        ),
        (
            with_exporter("{otlp_http: {endpoint: otel.example}}"),
            ("problem", "the endpoint in OTEL_CONFIG_FILE must begin with http:// or https://", None),
        ),
    ],
)
def test_the_exporter_of_traces(tmp_path: Path, said: str, finding: tuple[str, str, str | None]) -> None:
    """The exporters are those of the file, whatever it calls them; without one nothing is sent."""
    assert [told(found) for found in export.traces(environment(tmp_path, said))] == [finding]


def test_an_endpoint_in_the_file(tmp_path: Path) -> None:
    """An address is tried as if a variable had it, and shown without its secrets. No variable can put it right."""
    with OtlpReceiver() as receiver:
        there = f"{{otlp_http: {{endpoint: '{receiver.endpoint}/v1/traces?key={SECRET}'}}}}"
        reached = list(export.traces(environment(tmp_path, with_exporter(there), "there.yaml")))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    nowhere = f"{{otlp_grpc: {{endpoint: 'http://user:{SECRET}@127.0.0.1:{port}'}}}}"
    unreached = list(export.traces(environment(tmp_path, with_exporter(nowhere), "nowhere.yaml")))

    assert [told(found) for found in reached] == [
        ("ok", f"traces go by http/protobuf to {receiver.endpoint}/v1/traces (OTEL_CONFIG_FILE): can be reached", None)
    ]
    assert [told(found) for found in unreached] == [
        ("problem", f"traces go by grpc to http://127.0.0.1:{port} (OTEL_CONFIG_FILE): Connection refused", None)
    ]


def test_our_section(tmp_path: Path) -> None:
    """What it sets is a note, what is wrong in it a warning in the words of the log; a variable counts if named."""
    said = with_ours("{max_events: 7, stall_seconds: '${SECONDS_OF_NOBODY:-2.5}', repetition: loud, colour: green}")
    [_, *found] = file.findings(environment(tmp_path, said))

    assert {one.check for one in found} == {f"{CHECK}.anthropic_stream"}
    assert [one.status for one in found] == ["warning", "warning", "note"]
    assert found[0].text == (
        "repetition='loud' in the configuration file must be one of `off`, `exact`, `drift`; left out"
    )
    assert found[1].text.startswith(
        "colour in the configuration file is no setting of streamspan; there are native_span"
    )
    assert found[2].text == "OTEL_CONFIG_FILE sets max_events=7, stall_seconds=2.5 for anthropic"


def test_our_section_counts(tmp_path: Path) -> None:
    """The file is asked before the variables, for what else is looked at as well: here, the exporter of logs."""
    variables = {"STREAMSPAN_EVENTS": "span", "STREAMSPAN_MAX_EVENTS": "8"}
    named = environment(tmp_path, with_ours("{events: log, capture_content: SPAN_ONLY}")) | variables

    assert [found.status for found in export.logs(named)] == ["warning"]
    assert [found.check for found in settings.content(named)] == ["settings.content"]
    assert (file.ours("events", named), file.ours("max_events", named)) == ("log", 8)


def test_a_section_for_each_sdk(tmp_path: Path) -> None:
    """Each SDK has a section of its own. Where both say something else, that of the first counts."""
    said = with_ours("{max_events: 7}") + "    openai_stream: {max_events: 9, events: log}\n"
    named = environment(tmp_path, said)
    [_, *found] = file.findings(named)

    assert [(one.check, one.text) for one in found] == [
        (f"{CHECK}.anthropic_stream", "OTEL_CONFIG_FILE sets max_events=7 for anthropic"),
        (f"{CHECK}.openai_stream", "OTEL_CONFIG_FILE sets max_events=9, events=log for openai"),
    ]
    assert (file.ours("events", named), file.ours("max_events", named)) == ("log", 7)


@pytest.mark.parametrize(
    ("said", "status", "check", "command"),
    [
        ("disabled: true", "problem", "disabled", None),
        (with_ours("{enabled: false}"), "warning", "anthropic_stream", f"export {DISABLED}=anthropic_stream"),
    ],
)
def test_switched_off_in_the_file(tmp_path: Path, said: str, status: str, check: str, command: str | None) -> None:
    """The SDK that is switched off sends nothing; the instrumentation that is, is started all the same."""
    [_, found] = file.findings(environment(tmp_path, said))

    assert (found.check, found.status, found.command) == (f"{CHECK}.{check}", status, command)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (with_exporter(f"{{otlp_http: {{headers: {SECRET}}}}}"), "headers is not as the schema of such files wants it"),
        (f"a: {{b: {SECRET}\n", "it is no YAML, from line 3 on"),
        ("resource: {attributes: [{name: a, value: '${NO_SUCH_VARIABLE_}}'}]}\nlog_level: 5", "log_level is not as"),
    ],
)
def test_a_file_that_cannot_be_read(tmp_path: Path, said: str, why: str) -> None:
    """With it the OpenTelemetry SDK does not start: where it is wrong is told, and nothing of what is there."""
    named = environment(tmp_path, said)
    [found] = file.findings(named)

    assert (found.check, found.status) == (CHECK, "problem")
    assert why in found.text
    assert found.text.endswith(": the OpenTelemetry SDK does not start")
    assert SECRET not in found.text + str(found.command)
    assert list(export.traces(named)) == []


def test_a_file_that_is_not_there() -> None:
    """A file that OpenTelemetry could not read is a problem."""
    [found] = file.findings({"OTEL_CONFIG_FILE": "nowhere.yaml"})

    assert told(found) == (
        "problem",
        "OTEL_CONFIG_FILE names no file: the OpenTelemetry SDK does not start",
        "unset OTEL_CONFIG_FILE",
    )


def test_the_former_name_of_the_variable() -> None:
    """It is read by OpenTelemetry for other languages only."""
    [found] = file.findings({"OTEL_EXPERIMENTAL_CONFIG_FILE": "otel.yaml"})

    assert (found.status, found.command) == ("warning", 'export OTEL_CONFIG_FILE="$OTEL_EXPERIMENTAL_CONFIG_FILE"')


def test_variables_that_nobody_asks(tmp_path: Path) -> None:
    """With a file the variables of samplers and limits are not looked at."""
    named = environment(tmp_path, "") | {"OTEL_TRACES_SAMPLER": "always_off", "OTEL_SPAN_EVENT_COUNT_LIMIT": "1"}

    assert [*settings.sampler(named), *settings.limits(named)] == []


def test_the_next_step(tmp_path: Path) -> None:
    """Where all is right it is to start the application: no test span would go by the file."""
    found = findings(environment(tmp_path, with_exporter("{console: }")), sends=False)
    of_the_file = [one for one in found if "OTEL_CONFIG_FILE" in one.text and one.status != "warning"]

    assert next_step(of_the_file, sends=False) == Step(
        "start the application, and look for its first stream", "opentelemetry-instrument python app.py"
    )


def test_as_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """`--json` has the same findings."""
    said = with_exporter("{console: }") + with_ours("{max_events: 7}")
    monkeypatch.setenv("OTEL_CONFIG_FILE", environment(tmp_path, said)["OTEL_CONFIG_FILE"])
    main(["doctor", "--json"])
    items = json.loads(capsys.readouterr().out)["findings"]

    assert {
        "check": "export.traces",
        "status": "ok",
        "text": "traces go to the exporter console (OTEL_CONFIG_FILE)",
        "command": None,
    } in items
    assert "OTEL_CONFIG_FILE sets max_events=7 for anthropic" in [item["text"] for item in items]

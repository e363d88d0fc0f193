"""An OTLP/HTTP receiver of the tests' own: takes what a real exporter sends, and keeps the spans."""

import gzip
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import TracebackType
from typing import TYPE_CHECKING, Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

if TYPE_CHECKING:
    from typing_extensions import Self


@dataclass(frozen=True, slots=True)
class ReceivedSpan:
    service_name: object
    scope: str
    name: str
    attributes: Mapping[str, object]
    span_id: bytes
    parent_id: bytes
    """Empty: it has no parent."""
    events: Sequence[tuple[str, Mapping[str, object]]]


class OtlpReceiver:
    """Listens on a free port of 127.0.0.1 from the start to the end of its `with` block.

    status  what it answers with
    """

    def __init__(self, status: int = 200) -> None:
        self._status = status
        self.spans: list[ReceivedSpan] = []
        """In the order in which they came."""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    def __enter__(self) -> "Self":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, failure: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers["content-encoding"] == "gzip":
                    body = gzip.decompress(body)
                if self.path == "/v1/traces":
                    receiver.spans.extend(_spans(body))
                # The empty answer is the message of a full success, for every signal.
                self.send_response(receiver._status)  # its own class
                self.send_header("content-type", "application/x-protobuf")
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the name that is overridden
                """Nothing on the terminal."""

        return Handler


def _spans(body: bytes) -> Iterable[ReceivedSpan]:
    request = ExportTraceServiceRequest.FromString(body)
    for resource_spans in request.resource_spans:
        resource = _attributes(resource_spans.resource.attributes)
        for scope_spans in resource_spans.scope_spans:
            for span in scope_spans.spans:
                yield ReceivedSpan(
                    service_name=resource.get("service.name"),
                    scope=scope_spans.scope.name,
                    name=span.name,
                    attributes=_attributes(span.attributes),
                    span_id=span.span_id,
                    parent_id=span.parent_span_id,
                    events=[(event.name, _attributes(event.attributes)) for event in span.events],
                )


def _attributes(pairs: Iterable[Any]) -> dict[str, object]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: Any) -> object:
    kind = value.WhichOneof("value")
    return [_value(item) for item in value.array_value.values] if kind == "array_value" else getattr(value, kind)

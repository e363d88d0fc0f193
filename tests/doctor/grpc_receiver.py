"""A receiver of OTLP by gRPC: takes every span, and keeps its name."""

from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

SERVICE = "opentelemetry.proto.collector.trace.v1.TraceService"


@contextmanager
def grpc_receiver() -> Generator[tuple[str, list[str]]]:
    """Its endpoint, and the names of the spans that came."""
    names: list[str] = []

    def export(request: ExportTraceServiceRequest, _: object) -> ExportTraceServiceResponse:
        scopes = [scope for of_resource in request.resource_spans for scope in of_resource.scope_spans]
        names.extend(span.name for scope in scopes for span in scope.spans)
        return ExportTraceServiceResponse()

    handler = grpc.unary_unary_rpc_method_handler(
        export,
        request_deserializer=ExportTraceServiceRequest.FromString,
        response_serializer=ExportTraceServiceResponse.SerializeToString,
    )
    server = grpc.server(ThreadPoolExecutor(1))
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(SERVICE, {"Export": handler})])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"http://127.0.0.1:{port}", names
    finally:
        server.stop(None).wait()

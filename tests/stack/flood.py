"""Many traces in ready-made requests, faster than an SDK could make them."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan

from tests.stack.collector import Collector
from tests.stack.loopback import post_otlp

TRACES_PER_REQUEST = 100
PLACEHOLDER = b"-trace"


@dataclass(frozen=True, slots=True)
class Flood:
    """A request of 100 traces, each a copy of one that the library has really written."""

    body: bytes
    spans_per_request: int

    def send(self, collector: Collector) -> bool:
        """Sends it once more, with trace ids of its own. False if the collector refuses it."""
        body = self.body.replace(PLACEHOLDER, os.urandom(len(PLACEHOLDER)))
        return post_otlp(f"{collector.http}/v1/traces", body).status == HTTPStatus.OK


def flood_of(trace: Sequence[ReadableSpan]) -> Flood:
    """The flood that consists of this trace again and again."""
    request = ExportTraceServiceRequest()
    for index in range(TRACES_PER_REQUEST):
        copy = encode_spans(trace)
        for resource_spans in copy.resource_spans:
            for scope_spans in resource_spans.scope_spans:
                for span in scope_spans.spans:
                    span.trace_id = (
                        index.to_bytes(10, "big") + PLACEHOLDER
                    )  # the second half of each must differ: see `lru_cache.go`
        request.MergeFrom(copy)
    return Flood(request.SerializeToString(), TRACES_PER_REQUEST * len(trace))

"""What a stream sends over OTLP: bytes per span, and metric series per model.

    python benchmarks/otlp_size.py

Plays the demo's stories through the real SDK and encodes what comes of them as the OTLP exporter does. A batch of spans
shares its resource and scope, so a span is measured within a batch of 512, the exporter's default.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, MetricsData
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from streamspan import AnthropicStreamInstrumentor
from streamspan.cli.demo.anthropic.provider import PROVIDER
from streamspan.cli.demo.stories import play

BATCH = 512
SPEED = 20


def spans_of_stories(exporter: InMemorySpanExporter) -> Iterator[tuple[str, ReadableSpan]]:
    for story in PROVIDER.stories:
        exporter.clear()
        play(story, PROVIDER.api_of(story), speed=SPEED)
        for span in exporter.get_finished_spans():
            if span.instrumentation_scope and span.instrumentation_scope.name == "streamspan":
                yield story.name, span


def size(spans: Sequence[ReadableSpan]) -> int:
    """Bytes of one span in a batch of `spans` over and over."""
    batch = encode_spans([spans[n % len(spans)] for n in range(BATCH)]).SerializeToString()
    return len(batch) // BATCH


def points_by_server(reader: InMemoryMetricReader) -> Mapping[object, list[Any]]:
    """Data points by server, that is by story: each has a server of its own."""
    data: Any = reader.get_metrics_data()
    points: dict[object, list[Any]] = defaultdict(list)
    for scope in data.resource_metrics[0].scope_metrics:
        for metric in scope.metrics:
            for point in metric.data.data_points:
                points[point.attributes.get("server.port")].append(point)
    return points


def series_in_prometheus(point: Any) -> int:
    """A histogram is a series for each bucket, those below their bounds and the one without, a sum and a count."""
    return len(point.explicit_bounds) + 3 if hasattr(point, "explicit_bounds") else 1


def main() -> None:
    exporter, reader = InMemorySpanExporter(), InMemoryMetricReader()
    tracer_provider = TracerProvider()
    tracer_provider.add_span_processor(SimpleSpanProcessor(exporter))
    instrumentor = AnthropicStreamInstrumentor()
    instrumentor.instrument(tracer_provider=tracer_provider, meter_provider=MeterProvider([reader]))
    spans = dict(spans_of_stories(exporter))
    print(f"{'story':22}{'events':>7}{'bytes':>8}")
    for name, span in spans.items():
        print(f"{name:22}{len(span.events):7}{size([span]):8}")
    print(f"{'all, mixed':22}{'':7}{size(list(spans.values())):8}\n")
    one_model = max(points_by_server(reader).values(), key=len)
    export = len(encode_metrics(reader.get_metrics_data() or MetricsData([])).SerializeToString())
    points = sum(map(len, points_by_server(reader).values()))
    print(f"metrics of one model on one server: {len(one_model)} points, {export // points} bytes each over OTLP")
    print(f"    in Prometheus {sum(map(series_in_prometheus, one_model))} series")


if __name__ == "__main__":
    main()

"""Draws the boards over seeded traffic into docs/images/: `make screenshots`.

Needs what `make stack-test` needs, and npm, Node.js and Chromium. There is no Grafana server: the page of
grafana-dashboards/render/ puts Grafana's own components where the boards' JSON says. There is no Tempo: the searches of
the board of traces are made by grafana-dashboards/traceql.mjs, over the spans that the gateway has kept and sent on.
Where there is pngquant, the pictures are made small with it.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import asdict
from pathlib import Path
from threading import Thread

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from streamspan import AnthropicStreamInstrumentor, Config, OpenAIStreamInstrumentor
from tests.stack.backend import Backend
from tests.stack.collector import Collector, free_ports, wait_until
from tests.stack.loopback import get
from tests.stack.prometheus import Prometheus
from tests.stack.seeded import OPEN, SEEDS, STALL_SECONDS, WORKERS, Seed

ROOT = Path(__file__).parents[2]
RENDER = ROOT / "grafana-dashboards" / "render"
IMAGES = ROOT / "docs" / "images"
BOARDS = ("streams-overview", "streams-by-model", "streams-traces", "streams-pipeline")
SECONDS = float(os.environ.get("STREAMSPAN_PICTURE_SECONDS", "150"))
STREAMS_AT_ONCE = [seed for seed in SEEDS for _ in range(max(1, seed.count // 3))]


def main() -> int:
    """Gives the exit status: that of the first picture that failed, or 0."""
    with ExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory()))
        [self_metrics] = free_ports(1)
        prometheus = running.enter_context(Prometheus(folder, [f"127.0.0.1:{self_metrics}"]))
        backend = running.enter_context(Backend())
        settings = {
            "PROMETHEUS_ENDPOINT": prometheus.write_url,
            "BACKEND_ENDPOINT": backend.endpoint,
            "SELF_METRICS_PORT": str(self_metrics),
            "DECISION_WAIT": "2s",
        }
        files = ("gateway.yaml", "prometheus-remote-write.yaml")
        collector = Collector(Path(os.environ["STREAMSPAN_COLLECTOR"]), files, folder, settings)
        running.enter_context(collector)
        begin = time.time()
        make_traffic(collector.http, running)
        spans = [asdict(span) for span in backend.searched_spans]
        return draw(prometheus.url, spans, begin + 12, time.time(), running)


def make_traffic(endpoint: str, running: ExitStack) -> None:
    """All kinds of streams, again and again; one that hangs goes on after it."""
    resource = Resource.create({"service.name": "chat", "service.instance.id": "chat-1"})
    tracers = TracerProvider(resource=resource, shutdown_on_exit=False)
    tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{endpoint}/v1/traces"), schedule_delay_millis=500))
    reader = PeriodicExportingMetricReader(OTLPMetricExporter(f"{endpoint}/v1/metrics"), export_interval_millis=1000)
    meters = MeterProvider([reader], resource, shutdown_on_exit=False)
    config = Config(stall_seconds=STALL_SECONDS)
    for instrumentor in (AnthropicStreamInstrumentor(), OpenAIStreamInstrumentor()):
        instrumentor.instrument(tracer_provider=tracers, meter_provider=meters, config=config)
    servers = {seed: running.enter_context(seed.server(again=1000)) for seed in {*SEEDS, OPEN}}
    urls: dict[Seed, str] = {seed: server.url for seed, server in servers.items()}
    Thread(target=hang, args=[urls[OPEN]], daemon=True).start()
    tracer = tracers.get_tracer("chat")

    def request(seed: Seed) -> None:
        with tracer.start_as_current_span("POST /chat"):
            seed.play(urls[seed])

    stop_at = time.monotonic() + SECONDS
    with ThreadPoolExecutor(WORKERS) as workers:
        while time.monotonic() < stop_at:
            list(workers.map(request, STREAMS_AT_ONCE))
    tracers.force_flush()
    time.sleep(4)  # the sampler's decisions, and a batch


def hang(url: str) -> None:
    with suppress(Exception):  # in the end its server is gone
        OPEN.play(url)


def draw(prometheus: str, spans: Sequence[object], begin: float, end: float, running: ExitStack) -> int:
    [port] = free_ports(1)
    vite = str(RENDER / "node_modules" / ".bin" / "vite")
    environment = {**os.environ, "PROMETHEUS": prometheus}
    subprocess.run([vite, "build", "--logLevel", "warn"], cwd=RENDER, env=environment, check=True)
    (RENDER / "dist" / "spans.json").write_text(json.dumps(spans))
    page = subprocess.Popen([vite, "preview", "--port", str(port)], cwd=RENDER, env=environment, stdout=sys.stderr)
    running.callback(page.wait)
    running.callback(page.terminate)
    wait_until(lambda: answers(f"http://127.0.0.1:{port}/"))
    IMAGES.mkdir(parents=True, exist_ok=True)
    statuses = [
        subprocess.run(
            ["node", "shot.mjs", url_of(port, board, begin, end), str(IMAGES / f"{board}.png")],  # noqa: S607 - the machine's
            cwd=RENDER,
            check=False,
        ).returncode
        for board in BOARDS
    ]
    if shutil.which("pngquant"):
        pictures = [str(IMAGES / f"{board}.png") for board in BOARDS]
        subprocess.run(["pngquant", "--force", "--ext", ".png", "--speed", "1", "48", *pictures], check=True)  # noqa: S607
    return max(statuses)


def url_of(port: int, board: str, begin: float, end: float) -> str:
    return f"http://127.0.0.1:{port}/?board={board}&from={begin:.0f}&to={end:.0f}&window=20s"


def answers(url: str) -> bool:
    try:
        return get(url).status == 200
    except OSError:
        return False


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    os._exit(status)  # the stream that hangs does not keep us

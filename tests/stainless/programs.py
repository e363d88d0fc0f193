"""Programs in a process of their own: a test that ends a process, or locks it up, runs there."""

import json
import subprocess
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tests.stainless.api import Sdk

ROOT = Path(__file__).parents[2]


def run(program: Callable[..., None], *arguments: object, timeout: float = 60) -> "subprocess.CompletedProcess[str]":
    """Run a function of a test module, with arguments that can be written down; a lock-up is a TimeoutExpired."""
    name = program.__module__
    code = f"import {name} as module; module.{program.__name__}{arguments!r}"
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False, timeout=timeout
    )


def report_of(program: Callable[..., None], *arguments: object, timeout: float = 60) -> Any:
    """What the program reported last, as JSON in a line of its own, once it has ended well."""
    done = run(program, *arguments, timeout=timeout)
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout.splitlines()[-1])


def report(facts: object) -> None:
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


@contextmanager
def instrumented_process(
    sdk: Sdk, exporter: InMemorySpanExporter, *processors: SpanProcessor
) -> Generator[TracerProvider]:
    """The SDK is instrumented, and its spans go to the exporter, and before that to the processors."""
    provider = TracerProvider(shutdown_on_exit=False)
    for processor in (*processors, SimpleSpanProcessor(exporter)):
        provider.add_span_processor(processor)
    instrumentor = sdk.instrumentor()
    instrumentor.instrument(tracer_provider=provider)
    yield provider
    instrumentor.uninstrument()

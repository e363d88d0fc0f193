"""Streams: pipeline. Is the telemetry itself healthy? If not, believe no other board.

The collector's metrics about itself come with or without `_total`, as its Prometheus reader is set: both are taken.
Source: https://opentelemetry.io/docs/collector/internal-telemetry/
"""

from grafana_foundation_sdk.builders import dashboard

from streamspan import semconv

from . import promql
from .names import FAILURE_WHERE, series
from .panels import GRAPH_HEIGHT, GREEN, ORANGE, PER_SECOND, RED, Look, Panel, Query, board, graph, stat

UID = "streams-pipeline"
FROM_THE_FIRST = ((None, GREEN), (1e-9, RED))
WHO = ["job", "instance"]
BY_WHOM = "{{job}} {{instance}}"


def built() -> dashboard.Dashboard:
    return board(
        UID,
        "Streams: pipeline",
        "What streamspan and the collectors say about themselves: refused, waiting, lost. Collectors are all that"
        " Prometheus has, whatever service is chosen.",
        (
            ("streamspan in the applications", library()),
            ("Collectors: in and out", in_and_out()),
            ("Collectors: what is kept", kept()),
        ),
    )


def library() -> list[Panel]:
    failures, dropped = semconv.INSTRUMENTATION_FAILURES, semconv.INSTRUMENTATION_EVENTS_DROPPED
    failed = promql.selected(series(failures), *promql.CHOSEN_JOB)  # a rate misses the first failure of each function
    return [
        stat(
            Look(
                "Applications that report",
                "short",
                "Instances with streamspan that tell of themselves now, with traffic or without. Fewer than run: see"
                " the agent, and the export settings of the application.",
                6,
                no_value="none",
            ),
            promql.now(failures, "count", (*promql.CHOSEN_JOB, f'{FAILURE_WHERE}=""')),  # one of each instance
            height=GRAPH_HEIGHT,
        ),
        stat(
            Look(
                "Failures of streamspan",
                "short",
                "Failures of our own code since the applications started, which they never see. Not 0: a stream was not"
                " observed to its end; report it with the function that failed.",
                6,
                FROM_THE_FIRST,
            ),
            promql.summed(failed),
            height=GRAPH_HEIGHT,
        ),
        graph(
            Look(
                "Failures by function",
                "short",
                "Which part of streamspan has failed since the applications started, and when. Debug logs of"
                " `streamspan` name the type of the error.",
                6,
                no_value="none",
            ),
            Query(promql.some(promql.summed(failed, [FAILURE_WHERE])), f"{{{{{FAILURE_WHERE}}}}}"),
        ),
        graph(
            Look(
                "Span events left out",
                PER_SECOND,
                "Of streams with more events than max_events. The attributes are whole; raise max_events if"
                " the timeline matters.",
                6,
            ),
            Query(promql.rate(dropped, by=["job"], among=promql.CHOSEN_JOB), "{{job}}"),
        ),
    ]


def in_and_out() -> list[Panel]:
    size, capacity = collector("exporter_queue_size"), collector("exporter_queue_capacity")
    queue = ["job", "instance", "exporter", "data_type"]
    signals = ("spans", "metric_points", "log_records")
    return [
        graph(
            Look("Accepted", "cps", "What applications and agents send. None: they cannot reach the collector.", 6),
            *(Query(_rate(f"receiver_accepted_{signal}"), f"{signal} {BY_WHOM}") for signal in signals),
        ),
        graph(
            Look(
                "Refused",
                "cps",
                "Senders are told to try again; agents keep it on disk, applications lose it in the end. Red: more"
                " memory, or another collector.",
                6,
                FROM_THE_FIRST,
            ),
            *(Query(_rate(f"receiver_refused_{signal}"), f"{signal} {BY_WHOM}") for signal in signals),
        ),
        graph(
            Look(
                "Queue in use",
                "percentunit",
                "Of each exporter's queue on disk. Rising: the backend is away or too slow; at 100 % the gateway stops"
                " taking, then the agents' queues fill.",
                6,
                ((None, GREEN), (0.5, ORANGE), (0.8, RED)),
                most=1,
            ),
            Query(
                f"max by ({', '.join(queue)}) ({size}) / (max by ({', '.join(queue)}) ({capacity}) > 0)",
                f"{BY_WHOM} {{{{exporter}}}} {{{{data_type}}}}",
            ),
        ),
        graph(
            Look(
                "Failed to send",
                "cps",
                "Attempts that the backend refused for good: this telemetry is lost. The collector's log says why.",
                6,
                FROM_THE_FIRST,
                no_value="none",
            ),
            *(Query(_rate(f"exporter_send_failed_{signal}"), f"{signal} {BY_WHOM}") for signal in signals),
            *(
                Query(_rate(f"exporter_enqueue_failed_{signal}"), f"{signal} {BY_WHOM}, queue full")
                for signal in signals
            ),
        ),
    ]


def kept() -> list[Panel]:
    instance = ["job", "instance"]
    sampler = "processor_tail_sampling"
    waiting = promql.summed(collector(f"{sampler}_sampling_traces_on_memory"), instance)
    removed = promql.summed(collector(f"{sampler}_sampling_trace_removal_age_count"), instance)
    decided = promql.summed(collector(f"{sampler}_global_count_traces_sampled"), instance)
    return [
        graph(
            Look(
                "Traces by decision",
                PER_SECOND,
                "None sampled although streams fail: the policies do not see the attributes.",
                6,
            ),
            Query(
                _rate(f"{sampler}_global_count_traces_sampled", ["job", "decision"]),
                "{{job}} {{decision}}",
            ),
        ),
        graph(
            Look(
                "Traces that wait for a decision",
                "short",
                "Near num_traces, 50,000 by default, the next panel begins to rise: raise it, or add a gateway.",
                6,
            ),
            Query(waiting, BY_WHOM),
        ),
        graph(
            Look(
                "Traces given up too early",
                "short",
                "Since the collector started: pushed out by newer ones before they were decided. A bad stream that ends"
                " later is still kept, but without the parts of its trace from before. Raise num_traces, or add a"
                " gateway.",
                6,
                FROM_THE_FIRST,
            ),
            Query(f"clamp_min({removed} - ({decided} or 0 * {removed}), 0)", BY_WHOM),
        ),
        graph(
            Look("Memory", "bytes", "Resident set. Near the limit of memory_limiter: it begins to refuse.", 6),
            Query(f"max by (job, instance) ({collector('process_memory_rss', unit='_bytes')})", BY_WHOM),
        ),
    ]


def collector(name: str, *, unit: str = "") -> str:
    optional = f"({unit})?" if unit else "(_total)?"
    return f'{{__name__=~"otelcol_{name}{optional}"}}'


def _rate(name: str, by: list[str] = WHO) -> str:
    return promql.summed(f"rate({collector(name)}[{promql.EACH_STEP}])", by)

"""The boards and alerts as code: `make dashboards` writes the JSON and YAML that is committed beside this folder.

    names     what Prometheus calls the metrics and attributes of streamspan.semconv
    slo       every threshold, for boards and alerts alike
    promql    queries on those names, traceql: searches; links: from one to the other
    panels    how our panels look
    overview, by_model, traces, pipeline    one board each
    rules     recording rules and alerts
    build     writes the files

Only panels, the boards and build need Grafana's own builder, grafana-foundation-sdk.
"""

"""The demonstration: a loopback API that streams as the real ones do, played and drawn.

    sse.py           server-sent events, as data
    script.py        what the server does for one request: events, pauses, faults
    server.py        plays scripts over TCP and records what the client did; the project's tests use it too
    answer.py        an answer in no provider's words, which a wire format turns into a script
    applications.py  what a program does with a client
    stories.py       what can happen to a stream: an answer, an application, the expected outcome
    provider.py      what the demo needs to know of a provider
    anthropic/       its wire format, its SDK, the story that only it has
    openai/          the same, for two APIs
    wire.py          the events of Anthropic's Messages API
    record.py        plays stories with the SDK instrumented
    otlp.py          sends the spans elsewhere
    show.py          the demo: all of the above, in order
    command.py       the sub-command

Nothing of the instrumentation imports this folder.
"""

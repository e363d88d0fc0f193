"""The demonstration: a loopback Messages API that streams as the real one does, played and drawn.

    wire.py          the events of a streamed message, as data
    script.py        what the server does for one request: events, pauses, faults
    server.py        plays scripts over TCP and records what the client did; the project's tests use it too
    applications.py  what a program does with the client
    stories.py       what can happen to a stream: a script, an application, the expected outcome
    record.py        plays stories with the SDK instrumented
    otlp.py          sends the spans elsewhere
    show.py          the demo: all of the above, in order
    command.py       the sub-command

Nothing of the instrumentation imports this folder.
"""

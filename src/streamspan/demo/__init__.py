"""The demonstration: a loopback Messages API that streams as the real one does, and the terminal waterfall.

    wire.py       the events of a streamed message, as data
    script.py     what the server does for one request: events, pauses, faults
    server.py     plays scripts over TCP and records what the client did; the project's tests use it too
    stories.py    what can happen to a stream: a script, an application, the expected outcome
    waterfall.py  one finished stream, drawn
    cli.py        the `streamspan` command

Nothing of the instrumentation imports this folder.
"""

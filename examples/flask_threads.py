"""Asks three writers at once, a thread for each, and takes what they have when the time is up.

    opentelemetry-instrument flask --app flask_threads run

A thread does not know by itself which request it works for: each gets a copy of the request's context, and so all spans
are in one trace. A writer who is too slow has a span that says `deadline`.
"""

import time
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context

from anthropic import Anthropic
from flask import Flask, request

from streamspan import stream_of

WRITERS = {
    "child": "You write for children.",
    "lawyer": "You write for lawyers.",
    "poet": "You write in verse.",
}
MODEL = "claude-sonnet-5-5"

app = Flask(__name__)
client = Anthropic()  # may be used by many threads at once


@app.get("/texts")
def texts() -> dict[str, str]:
    """What each has written; for example GET /texts?about=lighthouses&seconds=3 ."""
    about = request.args.get("about", "lighthouses")
    until = time.monotonic() + request.args.get("seconds", 10.0, float)
    with ThreadPoolExecutor(len(WRITERS)) as threads:
        written = {writer: threads.submit(copy_context().run, text_of, writer, about, until) for writer in WRITERS}
    return {writer: text.result() for writer, text in written.items()}


def text_of(writer: str, about: str, until: float) -> str:
    text = ""
    with client.messages.stream(
        model=MODEL,
        max_tokens=1000,
        system=WRITERS[writer],
        messages=[{"role": "user", "content": f"Write about {about}."}],
    ) as stream:
        for piece in stream.text_stream:
            text += piece
            if time.monotonic() > until:
                stream_of(stream).abort_reason("deadline")  # say it first, then leave
                break
    return text

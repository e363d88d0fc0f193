"""A chat whose answers come word by word, and can be stopped.

    opentelemetry-instrument python app.py

When an answer ends early, `llm_stream.abort.reason` in its span says why:

    user_stop            the user pressed Stop, which is a request of its own: POST /stop/{id}
    client_disconnected  the browser has gone: the tab was closed, or its network is down
    guardrail            the answer was about to show what it must not
"""

import asyncio
import json
import logging
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Literal
from uuid import uuid4

import anyio
import uvicorn
from anthropic import AsyncAnthropic
from anthropic.types import MessageParam
from anyio.abc import ObjectSendStream
from fastapi import FastAPI
from fastapi.responses import FileResponse, StreamingResponse
from pydantic import BaseModel, Field

from streamspan import stream_of

MODEL = os.environ.get("CHAT_MODEL", "claude-sonnet-5-5")
CARD_NUMBER = re.compile(r"\b\d(?:[ -]?\d){12}")
PAGE = Path(__file__).with_name("page.html")

log = logging.getLogger("chat")
app = FastAPI()
client = AsyncAnthropic()


class Message(BaseModel):
    role: Literal["user", "assistant"]
    content: str = Field(min_length=1, max_length=50_000)

    def param(self) -> MessageParam:
        if self.role == "user":
            return {"role": "user", "content": self.content}
        return {"role": "assistant", "content": self.content}


class Chat(BaseModel):
    messages: list[Message] = Field(min_length=1, max_length=200)


class Answer:
    """One answer on its way from Claude to the browser.

    A task of its own reads Claude's stream, so that whoever ends the answer can say why before anything is closed.
    """

    def __init__(self, messages: list[MessageParam]) -> None:
        self.id = uuid4().hex  # not to be guessed: who knows it may stop the answer
        self._messages = messages
        self._stream: object = None
        self._ended: str | None = None

    async def events(self) -> AsyncIterator[str]:
        """What the browser gets. Starlette stops reading this when the browser has gone."""
        texts, browser = anyio.create_memory_object_stream[str]()  # no buffer: a slow browser slows the reader
        self._reader = asyncio.create_task(self._read(texts))
        self._reader.add_done_callback(lambda _: (texts.close(), answers.pop(self.id)))
        answers[self.id] = self
        try:
            with browser:
                yield event("start", self.id)
                async for text in browser:
                    yield event("text", text)
                yield event("end", self._ended)
        finally:
            self.leave("client_disconnected")

    def leave(self, reason: str) -> None:
        """Says why, then cancels the reader, which closes the connection to Claude. The first reason counts."""
        if self._ended is None:
            self._ended = reason
            stream_of(self._stream).abort_reason(reason)
            self._reader.cancel()

    async def _read(self, texts: ObjectSendStream[str]) -> None:
        recent, chars_shown = "", 0
        try:
            async with client.messages.stream(model=MODEL, max_tokens=2000, messages=self._messages) as stream:
                self._stream = stream
                async for text in stream.text_stream:
                    recent = recent[-40:] + text
                    if CARD_NUMBER.search(recent):
                        self._guard(chars_shown)
                        return
                    await texts.send(text)
                    chars_shown += len(text)
                self._ended = stream.current_message_snapshot.stop_reason or "cut_off"
        except Exception:  # the HTTP library's own, too: the SDK does not wrap what fails in the middle of a stream
            log.exception("an answer failed")
            self._ended = "error"

    def _guard(self, chars_shown: int) -> None:
        """What has been shown cannot be taken back, so the span says how much it was."""
        self._ended = "guardrail"
        stream = stream_of(self._stream)
        stream.event("guardrail.triggered", {"guardrail.name": "card_number", "chat.chars_shown": chars_shown})
        stream.abort_reason("guardrail")


answers: dict[str, Answer] = {}
"""Those that are on their way. With several worker processes, Stop has to reach the one that has the answer."""


def event(name: str, data: str | None) -> str:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"


@app.get("/")
async def page() -> FileResponse:
    return FileResponse(PAGE)


@app.post("/chat")
async def chat(question: Chat) -> StreamingResponse:
    answer = Answer([message.param() for message in question.messages])
    unbuffered = {"cache-control": "no-store", "x-accel-buffering": "no"}  # the latter is for nginx
    return StreamingResponse(answer.events(), headers=unbuffered, media_type="text/event-stream")


@app.post("/stop/{answer_id}", status_code=204)
async def stop(answer_id: str) -> None:
    """An answer that has ended by now is none of our business."""
    if answer_id in answers:
        answers[answer_id].leave("user_stop")


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(os.environ.get("PORT", "8000")))

"""What the tests know of an API that streams, so that one test speaks for every API of every SDK.

Sdk           one SDK: its clients, and what instruments it
Api           one API of an SDK: how a stream is asked for, what a server sends, what a reader gets
ServerEnding  how a server ends a stream, and what the span says of it
"""

from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from math import inf
from types import ModuleType
from typing import Any, TypeGuard

from opentelemetry.instrumentation.instrumentor import BaseInstrumentor

from streamspan.cli.demo.script import Ending, Pause, Script, Step
from streamspan.cli.demo.server import MessagesServer
from streamspan.cli.demo.wire import Event

Seen = list[object]
"""What an application saw: values, as plain data, and the exception that stopped it."""

TEXT = "Some text to begin with."


@dataclass(frozen=True, slots=True, kw_only=True)
class Sdk:
    """One SDK.

    module        its package
    client        the class of its clients, and the one of its async clients
    instrumentor  makes what instruments it
    title         its name in messages
    other_route   a route that streams what is no inference
    refused       an HTTP error of status 400, and its `error.type`
    busy          an HTTP error that is retried, its status, and its `error.type`
    """

    module: ModuleType
    client: Any
    async_client: Any
    instrumentor: Callable[[], BaseInstrumentor]
    title: str
    other_route: str
    refused: tuple[Script, str]
    busy: tuple[Script, int, str]

    @contextmanager
    def opened(self, url: str, **options: Any) -> Generator[Any]:
        """A client that loads no certificates, which would take most of the time."""
        with self.unclosed(url, **options) as client:
            yield client

    def unclosed(self, url: str, **options: Any) -> Any:
        http_client = self.module.DefaultHttpxClient(verify=False)
        return self.client(**_client_options(url, options), http_client=http_client)

    @asynccontextmanager
    async def opened_async(self, url: str, **options: Any) -> AsyncGenerator[Any]:
        async with self.unclosed_async(url, **options) as client:
            yield client

    def unclosed_async(self, url: str, **options: Any) -> Any:
        """For tests that end their loops with streams open."""
        http_client = self.module.DefaultAsyncHttpxClient(verify=False)
        return self.async_client(**_client_options(url, options), http_client=http_client)


def _client_options(url: str, options: Mapping[str, Any]) -> dict[str, Any]:
    return {"base_url": url, "api_key": "none", "max_retries": 0, **options}


@dataclass(frozen=True, slots=True)
class ServerEnding:
    """How the server ends the stream, and what the span says of it: outcome, `error.type`, phase, partial."""

    name: str
    script: Script
    outcome: str
    error_type: str | None = None
    phase: str | None = None
    partial: bool = False
    timeout: float = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """One API of an SDK.

    name      its name in test ids
    request   the arguments of a call
    resource  what has `create()`, of a client
    route     where the request goes, the class of an answer that is not streamed, and the class of an event
    helper    opens a stream as the SDK's helper does: gives a context manager. None: there is no helper
    reads     the ways to read a stream that only this API has, sync and async
    says      what the server sends of an answer that is this text, in deltas of so many characters
    at_text   how many steps of that come up to the first delta
    events    how many events a reader gets of the answer `TEXT`, and how many up to the stop reason, which is this
    text_of   the text that an event brings, of the stream or of the helper; empty: it brings none
    endings   how a server may end a stream
    inside    functions of ours that only this API needs, each with its owner; a stream of text goes through them
    translator  the class of ours that translates its events
    """

    name: str
    sdk: Sdk
    request: Mapping[str, Any]
    resource: Callable[[Any], Any]
    route: tuple[str, Any, Any]
    helper: Callable[[Any], Any] | None
    reads: Sequence[Callable[[Any, Seen], Any]]
    says: Callable[..., Script]
    at_text: int
    events: int
    events_to_stop: int
    stop_reason: str
    text_of: Callable[[Any], str]
    endings: Sequence[ServerEnding]
    inside: Sequence[tuple[Any, str]]
    translator: type
    text: Script = field(init=False)
    """The answer `TEXT`."""
    hangs: Script = field(init=False)
    """The same, silent for ever after the first delta."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", self.says(TEXT))
        object.__setattr__(self, "hangs", [*self.text[: self.at_text], Pause(inf)])

    def create(self, client: Any, **more: Any) -> Any:
        """A stream, or what gives one when it is awaited."""
        return self.resource(client).create(stream=True, **{**self.request, **more})

    def opened(self, client: Any, server: MessagesServer, script: Script | None = None) -> Any:
        """The same, of what the server is to send."""
        server.scripts.append(self.text if script is None else script)
        return self.create(client)

    def helped(self, client: Any, server: MessagesServer | None = None, script: Script | None = None) -> Any:
        """The same as the SDK's helper opens it: a context manager. Without a server, one that knows what to send."""
        assert self.helper is not None
        if server is not None:
            server.scripts.append(self.text if script is None else script)
        return self.helper(client)

    def is_text(self, event: Any) -> bool:
        return bool(self.text_of(event))

    def read_to_text(self, stream: Any) -> None:
        """Up to the first event that brings text."""
        while not self.is_text(next(stream)):
            pass

    async def read_to_text_async(self, stream: Any) -> None:
        while not self.is_text(await stream.__anext__()):
            pass


def body_of(script: Script) -> bytes:
    """The whole body in one piece."""
    return b"".join(step.encoded() if isinstance(step, Event) else step for step in script if is_of_the_body(step))


def is_of_the_body(step: Step) -> TypeGuard[bytes | Event]:
    return isinstance(step, (bytes, Event))


def common_endings(
    whole: Script, in_the_text: Script, *, error: Step, error_type: str, broken: Callable[[bytes], bytes], novelty: Step
) -> list[ServerEnding]:
    """The endings that every API has.

    whole        an answer that thinks, says something and calls a tool
    in_the_text  its beginning, up to the middle of what it says
    error        an event that ends the stream with an error of this type
    broken       an event whose data are these bytes
    novelty      an event of a type that no SDK knows
    """
    rest = whole[len(in_the_text) :]
    lost = {"outcome": "error", "phase": "text", "partial": True}
    connection: dict[str, Any] = {**lost, "error_type": "connection_error"}
    client: dict[str, Any] = {**lost, "error_type": "client_error"}
    timeout: dict[str, Any] = {**lost, "error_type": "client_timeout_error"}
    return [
        ServerEnding("complete", whole, "complete"),
        ServerEnding("error event", [*in_the_text, error], "error", error_type, "text", partial=True),
        ServerEnding("cut off in the text", in_the_text, "truncated", "stream_truncated", "text", partial=True),
        ServerEnding("no final chunk", [*in_the_text, Ending.CUT], **connection),
        ServerEnding("reset", [*in_the_text, Pause(0.05), Ending.RESET], **connection),
        ServerEnding("silence", [*in_the_text, Pause(inf)], **timeout, timeout=0.2),
        ServerEnding("malformed JSON", [*in_the_text, broken(b"{broken"), *rest], **client),
        ServerEnding("invalid UTF-8", [*in_the_text, broken(b"\xff\xfe"), *rest], **client),
        ServerEnding("unknown event", [*in_the_text, novelty, *rest], "complete"),
        ServerEnding("empty body", [], "truncated", "stream_truncated", "waiting", partial=True),
        ServerEnding("two beginnings", [whole[0], *whole], "complete"),
    ]

"""What a span says of a call before anything is answered, which calls have a span, and what headers tell."""

from collections.abc import Callable, Mapping
from typing import Any

import openai
import pytest
from openai import AzureOpenAI
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pydantic import BaseModel

from streamspan.cli.demo.script import Head
from streamspan.cli.demo.server import MessagesServer
from streamspan.openai.request import call
from tests.openai.chunks import HELLO, frame
from tests.openai.reading import REQUEST, OneStream, helper, sync_client
from tests.stainless.spans import attributes, ended_spans

GIVEN: Mapping[str, tuple[Mapping[str, Any], Mapping[str, object]]] = {
    "sampling": (
        {"temperature": 0.5, "top_p": 0.9, "presence_penalty": 0.1, "frequency_penalty": 0.2, "seed": 7},
        {"temperature": 0.5, "top_p": 0.9, "presence_penalty": 0.1, "frequency_penalty": 0.2, "seed": 7},
    ),
    "the limit": ({"max_completion_tokens": 100}, {"max_tokens": 100}),
    "the limit by its old name": ({"max_tokens": 100}, {"max_tokens": 100}),
    "a stop sequence": ({"stop": "END"}, {"stop_sequences": ("END",)}),
    "stop sequences": ({"stop": ["END", "STOP"]}, {"stop_sequences": ("END", "STOP")}),
    "choices": ({"n": 3}, {"choice.count": 3}),
    "one choice": ({"n": 1}, {}),
    "reasoning": ({"reasoning_effort": "low"}, {"reasoning.level": "low"}),
    "what a server adds": ({"extra_body": {"top_k": 5}}, {"top_k": 5.0}),
    "null": ({"temperature": None}, {}),
}
ALWAYS = {"model": "gpt-5.5-mini", "stream": True}


@pytest.mark.parametrize(("request_", "expected"), GIVEN.values(), ids=GIVEN)
def test_what_a_request_asks_for(
    openai_app: OneStream, request_: Mapping[str, Any], expected: Mapping[str, object]
) -> None:
    """It is on the span if the caller gave it, under the names of the conventions."""
    told = openai_app.told(HELLO, **request_)

    prefix = "gen_ai.request."
    assert {key[len(prefix) :]: value for key, value in told.items() if key.startswith(prefix)} == {
        **ALWAYS,
        **expected,
    }


def test_the_start_of_a_span(openai_app: OneStream, server: MessagesServer) -> None:
    """Whose API it is, which of them, and where it is."""
    span = openai_app.span(HELLO, service_tier="flex", response_format={"type": "json_object"})

    names = ("gen_ai.operation.name", "gen_ai.provider.name", "openai.api.type", "openai.request.service_tier")
    names += ("gen_ai.output.type", "server.address", "server.port", "http.request.method", "http.route", "url.path")
    assert span.name == "chat gpt-5.5-mini"
    assert [attributes(span)[name] for name in names] == [
        "chat", "openai", "chat_completions", "flex", "json", "127.0.0.1", server.port, "POST", "/chat/completions",
        "/chat/completions",
    ]  # fmt: skip


def test_the_schema_of_a_helper(openai_app: OneStream) -> None:
    """A model as the response format asks for JSON."""

    class Answer(BaseModel):
        text: str

    assert openai_app.told(HELLO, helper, response_format=Answer)["gen_ai.output.type"] == "json"


def test_headers(openai_app: OneStream) -> None:
    """The request's id and the rate limits are on the span."""
    headers = {
        "x-request-id": "req_1",
        "x-ratelimit-remaining-requests": "59",
        "x-ratelimit-remaining-tokens": "149984",
    }

    told = openai_app.told([Head(headers=headers), *HELLO])

    assert told["http.response.header.x-request-id"] == ("req_1",)
    assert told["llm_stream.rate_limit.requests.remaining"] == 59
    assert told["llm_stream.rate_limit.tokens.remaining"] == 149_984


HOSTS = {
    "https://api.openai.com/v1": "openai",
    "http://localhost:11434/v1": "openai",
    "https://openrouter.ai/api/v1": "openai",
    "https://notx.ai/v1": "openai",
    "https://api.x.ai/v1": "x_ai",
    "https://x.ai": "x_ai",
    "https://api.groq.com/openai/v1": "groq",
    "https://api.deepseek.com": "deepseek",
    "https://api.mistral.ai/v1": "mistral_ai",
    "https://api.perplexity.ai": "perplexity",
    "https://generativelanguage.googleapis.com/v1beta/openai/": "gcp.gemini",
    "https://us-central1-aiplatform.googleapis.com/v1/openapi": "gcp.vertex_ai",
    "https://bedrock-runtime.us-west-2.amazonaws.com/openai/v1": "aws.bedrock",
    "https://mine.openai.azure.com/openai/v1/": "azure.ai.openai",
    "https://mine.services.ai.azure.com/openai/v1/": "azure.ai.inference",
    "https://api.anthropic.com/v1/": "anthropic",
}


class Options:
    """Those of a request, as far as they are looked at."""

    method = "post"
    json_data: Mapping[str, Any] = REQUEST

    def __init__(self, url: str) -> None:
        self.url = url


@pytest.mark.parametrize(("url", "expected"), HOSTS.items())
def test_the_provider_by_its_host(url: str, expected: str) -> None:
    """The provider is the one whose host it is, where that is known, else `openai`."""
    with sync_client(url) as client:
        begun = call(client, Options("/chat/completions"))

    assert begun is not None
    assert begun.attributes["gen_ai.provider.name"] == expected


def test_azure(openai_app: OneStream, server: MessagesServer) -> None:
    """The class of the client says so, whatever the host. Its first chunk has no choices and no model."""
    first = frame({"id": "", "model": "", "object": "", "choices": [], "prompt_filter_results": [{"prompt_index": 0}]})

    def read(url: str, request: Mapping[str, Any]) -> None:
        http_client = openai.DefaultHttpxClient(verify=False)
        client = AzureOpenAI(azure_endpoint=url, api_key="none", api_version="2026-01-01", http_client=http_client)
        with client:
            for _ in client.chat.completions.create(stream=True, **request):
                pass

    told = openai_app.told([first, *HELLO], read)

    names = ("gen_ai.provider.name", "gen_ai.response.id", "gen_ai.response.model", "llm_stream.outcome", "url.path")
    assert [told[name] for name in names] == [
        "azure.ai.openai", "chatcmpl-B1", "gpt-5.5-mini-2026-05-01", "complete",
        "/openai/deployments/gpt-5.5-mini/chat/completions",
    ]  # fmt: skip
    assert server.port == told["server.port"]


ROUTES = {
    "/chat/completions": "chat_completions",
    "/openai/v1/chat/completions?x=1": "chat_completions",
    "/completions": None,
    "/responses": "responses",
    "/responses/resp_1": "responses",
}
LEFT_ALONE = (
    "/threads/thread_1/runs",
    "/threads/runs",
    "/images/generations",
    "/audio/speech",
    "/audio/transcriptions",
    "/responses/resp_1/cancel",
    "/embeddings",
)


@pytest.mark.parametrize(("url", "expected"), ROUTES.items())
def test_the_calls_that_generate(url: str, expected: str | None) -> None:
    """They are known by the end of their path."""
    with sync_client("http://127.0.0.1") as client:
        begun = call(client, Options(url))

    assert begun is not None
    assert begun.attributes["openai.api.type"] == expected


@pytest.mark.parametrize("url", LEFT_ALONE)
def test_other_calls(url: str) -> None:
    """Streams of other kinds, and of threads, are left alone."""
    with sync_client("http://127.0.0.1") as client:
        assert call(client, Options(url)) is None


PLAIN: Mapping[str, Any] = {"id": "1", "object": "chat.completion", "model": "m", "choices": []}
THREAD_EVENT = b'event: thread.created\ndata: {"id": "thread_1", "object": "thread"}\n\n'


def _plain(client: Any) -> None:
    client.chat.completions.create(**REQUEST)


def _thread(client: Any) -> None:
    for _ in client.beta.threads.runs.create("thread_1", assistant_id="asst_1", stream=True):
        pass


@pytest.mark.parametrize(
    ("script", "read"),
    [
        pytest.param(
            [
                Head(200, {"content-type": "application/json", "content-length": str(len(frame(PLAIN)) - 6)}),
                frame(PLAIN)[6:],
            ],
            _plain,
            id="a plain call",
        ),
        pytest.param([THREAD_EVENT, b"event: done\ndata: [DONE]\n\n"], _thread, id="a run of a thread"),
    ],
)
@pytest.mark.usefixtures("openai_instrumented")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_calls_without_a_span(
    server: MessagesServer, exporter: InMemorySpanExporter, script: list[Any], read: Callable[[Any], None]
) -> None:
    """They are untouched, and have no span."""
    server.scripts.append(script)
    with sync_client(server.url) as client:
        read(client)

    assert ended_spans(exporter) == []

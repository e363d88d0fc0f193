"""From the options of a request to what its span starts with. Nothing in them has been validated."""

from collections.abc import Callable, Mapping
from typing import Any

from streamspan import semconv
from streamspan.telemetry.spans import AttributeValue

from .values import count, field, mapping, number, text

Fields = Mapping[str, tuple[str, Callable[[Any], AttributeValue | None]]]
"""Fields of a request's body, each with its attribute and with what gives the value of that."""

SAMPLING: Fields = {
    "frequency_penalty": (semconv.REQUEST_FREQUENCY_PENALTY, number),
    "max_tokens": (semconv.REQUEST_MAX_TOKENS, count),
    "presence_penalty": (semconv.REQUEST_PRESENCE_PENALTY, number),
    "seed": (semconv.REQUEST_SEED, count),
    "temperature": (semconv.REQUEST_TEMPERATURE, number),
    "top_k": (semconv.REQUEST_TOP_K, number),
    "top_p": (semconv.REQUEST_TOP_P, number),
}
"""What most APIs call by the same names."""


def body_of(options: Any) -> Mapping[str, Any]:
    """The JSON body with `extra_body` merged in, as the SDK merges it: by the top level."""
    body, extra = mapping(options.json_data), field(options, "extra_json")
    return {**body, **mapping(extra)} if extra else body


def path_of(options: Any) -> str:
    """With a slash at its beginning and none at its end."""
    return "/" + str(options.url).partition("?")[0].strip("/")


def call_attributes(
    client: Any, options: Any, body: Mapping[str, Any], fields: Fields
) -> dict[str, AttributeValue | None]:
    """What every streamed call has, and what the request asks for."""
    base_url = client.base_url
    attributes: dict[str, AttributeValue | None] = {
        semconv.REQUEST_MODEL: text(body.get("model")),
        semconv.REQUEST_STREAM: True,
        semconv.SERVER_ADDRESS: text(base_url.host),
        semconv.SERVER_PORT: base_url.port or (80 if base_url.scheme == "http" else 443),
        semconv.HTTP_REQUEST_METHOD: text(str(options.method).upper()),
    }
    for name, value in body.items():
        if (entry := fields.get(name)) is not None and value is not None:
            attributes[entry[0]] = entry[1](value)
    return attributes


def client_modules(client: Any) -> list[str]:
    """The modules that the class of the client and its bases come from."""
    return [cls.__module__ for cls in type(client).__mro__]

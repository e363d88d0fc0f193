"""A provider, as the demo needs to know it; each has a folder beside this file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module

from streamspan.stainless.instrumentor import StreamInstrumentor

from .applications import Api
from .stories import Story


@dataclass(frozen=True, slots=True)
class Provider:
    """A provider with its SDK.

    stories     what can happen to its streams
    api         the API that stories are played with
    other_apis  another API for the stories of these names
    headers     of every answer of its server
    """

    instrumentor: type[StreamInstrumentor]
    stories: Sequence[Story]
    api: Api
    other_apis: Mapping[str, Api] = field(default_factory=dict[str, Api])
    headers: Mapping[str, str] = field(default_factory=dict[str, str])

    def api_of(self, story: Story) -> Api:
        return self.other_apis.get(story.name, self.api)


def provider_named(name: str) -> Provider:
    """Raises ModuleNotFoundError where its SDK is missing."""
    found: Provider = import_module(f".{name}.provider", __package__).PROVIDER
    return found

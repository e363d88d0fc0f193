"""What the tests of Anthropic's SDK share."""

from collections.abc import Iterator

import pytest
from anthropic import Anthropic

from streamspan.cli.demo.server import MessagesServer
from tests.anthropic.messages import ANTHROPIC


@pytest.fixture
def client(server: MessagesServer) -> Iterator[Anthropic]:
    """One that does not try again."""
    with ANTHROPIC.opened(server.url) as client:
        yield client

"""What the examples call, and whom they tell."""

from collections.abc import Iterator

import pytest

from streamspan.cli.demo.server import MessagesServer
from tests.launch.environment import calls, environment
from tests.launch.receiver import OtlpReceiver


@pytest.fixture(scope="module")
def api() -> Iterator[MessagesServer]:
    """The loopback Messages API; a test appends to `api.scripts` what each request is answered with."""
    with MessagesServer() as serving:
        yield serving


@pytest.fixture(scope="module")
def receiver() -> Iterator[OtlpReceiver]:
    with OtlpReceiver() as listening:
        yield listening


@pytest.fixture(scope="module")
def with_key(api: MessagesServer, receiver: OtlpReceiver) -> dict[str, str]:
    """The environment of somebody who has a key, for an API that is ours."""
    return {**environment(receiver), **calls(api)}


@pytest.fixture(autouse=True)
def each_test_has_its_own_spans(receiver: OtlpReceiver) -> None:
    receiver.spans.clear()

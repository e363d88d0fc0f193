"""The chat, over sockets: whatever ends an answer is in its span, and the connection to the API is really closed."""

import math
from collections.abc import Iterator
from pathlib import Path
from threading import Event as Flag

import pytest

from streamspan.cli.demo import wire
from streamspan.cli.demo.script import Pause, Script, Step, Wait
from streamspan.cli.demo.server import MessagesServer
from tests.examples.browser import Asked, press_stop
from tests.examples.launched import SDK_CLOSES, answer_text, parent, serving, streams, told
from tests.launch.environment import environment
from tests.launch.receiver import OtlpReceiver

BEGUN = [wire.message_start(), wire.block_start(0, {"type": "text", "text": ""})]
ENDED = [wire.block_stop(0), wire.message_delta("end_turn", 8), wire.message_stop()]
END = "outcome", "abort.reason", "abort.connection_closed", "text.chars"


def says(*texts: str) -> list[Step]:
    return [wire.block_delta(0, {"type": "text_delta", "text": text}) for text in texts]


@pytest.fixture(scope="module")
def port(with_key: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Where the chat listens."""
    with serving("fastapi_chat/app.py", with_key, tmp_path_factory.mktemp("chat")) as chat:
        yield chat.port


def test_an_answer_that_is_read_to_the_end(port: int, api: MessagesServer, receiver: OtlpReceiver) -> None:
    """The browser gets each piece as it comes and the stop reason; the span is complete, below that of the request."""
    api.scripts.append([*BEGUN, *says("Grüße ", "aus Köln"), *ENDED])

    [start, *events] = Asked(port, "Hi").events()

    [span] = streams(receiver)
    assert start[0] == "start"
    assert events == [("text", "Grüße "), ("text", "aus Köln"), ("end", "end_turn")]
    assert told(span, *END) == {
        "outcome": "complete",
        "abort.reason": None,
        "abort.connection_closed": None,
        "text.chars": 14,
    }
    assert parent(span, receiver) == "POST /chat"


def test_stop(port: int, api: MessagesServer, receiver: OtlpReceiver) -> None:
    """Stop ends the answer with a word of its own, and closes the connection to the API, which sees it."""
    api.scripts.append([*BEGUN, *says("Once ", "upon "), Pause(math.inf)])
    asked = Asked(port, "A story, please")

    [(_, answer_id), *begun] = asked.read(3)
    status = press_stop(port, answer_id)
    rest = list(asked.events())

    [span] = streams(receiver)
    assert (status, begun, rest) == (204, [("text", "Once "), ("text", "upon ")], [("end", "user_stop")])
    assert told(span, *END) == {
        "outcome": "aborted",
        "abort.reason": "user_stop",
        "abort.connection_closed": SDK_CLOSES,
        "text.chars": 10,
    }
    assert api.exchanges[-1].disconnected.wait(60)


def test_stop_ends_one_answer_only(port: int, api: MessagesServer, receiver: OtlpReceiver) -> None:
    """Who presses Stop stops an answer of their own."""
    goes_on = Flag()
    api.scripts.append([*BEGUN, *says("Mine"), Pause(math.inf)])
    mine = Asked(port, "Mine?")
    [(_, answer_id), _] = mine.read(2)
    api.scripts.append([*BEGUN, *says("Yours"), Wait(goes_on), *ENDED])
    yours = Asked(port, "Yours?")
    yours.read(2)

    press_stop(port, answer_id)
    mine_ended = list(mine.events())
    goes_on.set()
    yours_ended = list(yours.events())

    assert (mine_ended, yours_ended) == ([("end", "user_stop")], [("end", "end_turn")])
    outcomes = [told(span, "outcome")["outcome"] for span in streams(receiver, 2)]
    assert sorted(map(str, outcomes)) == ["aborted", "complete"]


def test_stop_when_all_is_over(port: int, api: MessagesServer, receiver: OtlpReceiver) -> None:
    """Stop on an answer that has ended, or that never was, does nothing."""
    api.scripts.append([*BEGUN, *says("Hi"), *ENDED])
    [(_, answer_id), *_] = Asked(port, "Hi").events()

    statuses = [press_stop(port, answer_id), press_stop(port, "none")]

    [span] = streams(receiver)
    assert statuses == [204, 204]
    assert told(span, "outcome", "abort.reason") == {"outcome": "complete", "abort.reason": None}


LARGE = "x" * 1_000_000


@pytest.mark.parametrize(
    ("script", "chars"),
    [
        pytest.param([*BEGUN, *says("Once "), Pause(math.inf)], 5, id="while-the-model-is-silent"),
        pytest.param([*BEGUN, *says("Once ", *[LARGE] * 40), Pause(math.inf)], None, id="with-much-that-is-unread"),
    ],
)
def test_the_browser_goes_away(
    script: Script, chars: int | None, port: int, api: MessagesServer, receiver: OtlpReceiver
) -> None:
    """A closed tab has a reason of its own, and the connection to the API is closed, whatever was waited for."""
    api.scripts.append(script)
    asked = Asked(port, "A story, please")
    asked.read(2)

    asked.leave()

    [span] = streams(receiver)
    # Who is faster where an SDK leaves closing to others, and the cancellation comes between two reads, is open.
    by_others = span.attributes["llm_stream.abort.connection_closed"] if chars is None else False
    assert told(span, *END) == {
        "outcome": "aborted",
        "abort.reason": "client_disconnected",
        "abort.connection_closed": SDK_CLOSES or by_others,
        "text.chars": chars or span.attributes["llm_stream.text.chars"],
    }
    assert api.exchanges[-1].disconnected.wait(60)


def test_guardrail(port: int, api: MessagesServer, receiver: OtlpReceiver) -> None:
    """The guardrail stops the answer before the number is whole; the span says what had been shown by then."""
    api.scripts.append([*BEGUN, *says("It is ", "4111 1111 1", "111 ", "1111"), Pause(math.inf)])

    [_, *events] = Asked(port, "My card?").events()

    [span] = streams(receiver)
    [triggered] = [dict(attributes) for name, attributes in span.events if name == "guardrail.triggered"]
    assert events == [("text", "It is "), ("text", "4111 1111 1"), ("text", "111 "), ("end", "guardrail")]
    assert triggered == {
        "guardrail.name": "card_number",
        "chat.chars_shown": 21,
        "llm_stream.chars_delivered": 25,
        "llm_stream.offset": triggered["llm_stream.offset"],
    }
    assert told(span, *END) == {
        "outcome": "aborted",
        "abort.reason": "guardrail",
        "abort.connection_closed": True,
        "text.chars": 25,
    }
    assert api.exchanges[-1].disconnected.wait(60)


@pytest.mark.parametrize(
    ("script", "end", "outcome"),
    [
        pytest.param([*says("Hi"), wire.error("overloaded_error", "Overloaded")], "error", "error", id="overloaded"),
        pytest.param(says("Hi"), "cut_off", "truncated", id="cut-off"),
        pytest.param(
            [*says("Hi"), wire.block_stop(0), wire.message_delta("max_tokens", 8), wire.message_stop()],
            "max_tokens",
            "complete",
            id="max-tokens",
        ),
    ],
)
def test_what_the_provider_does(
    script: list[Step], end: str, outcome: str, port: int, api: MessagesServer, receiver: OtlpReceiver
) -> None:
    """The browser learns how the answer ended also where nobody here ended it."""
    api.scripts.append([*BEGUN, *script])

    [_, *events] = Asked(port, "Hi").events()

    [span] = streams(receiver)
    assert events == [("text", "Hi"), ("end", end)]
    assert told(span, "outcome", "abort.reason") == {"outcome": outcome, "abort.reason": None}


def test_without_a_key(receiver: OtlpReceiver, tmp_path: Path) -> None:
    """With no key the command of the README needs no network, and its log says that the API saw the reader leave."""
    with serving("fastapi_chat/app.py", environment(receiver), tmp_path) as chat:
        [_, *events] = Asked(chat.port, "What is the number of my card?").events()
        [span] = streams(receiver)

    assert answer_text(events).endswith("Its number is 4111 1111 1111")
    assert told(span, *END[:3]) == {
        "outcome": "aborted",
        "abort.reason": "guardrail",
        "abort.connection_closed": True,
    }
    assert "loopback: POST /v1/messages: the reader left in the middle" in chat.output.read_text()

"""The chat in a real browser, started as its README says, with no key."""

from collections.abc import Generator
from pathlib import Path
from typing import NamedTuple

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.examples.chromium import chromium
from tests.examples.launched import Running, serving, streams, told
from tests.launch.environment import environment
from tests.launch.receiver import OtlpReceiver
from tests.stack.collector import wait_until

END = "outcome", "abort.reason", "abort.connection_closed", "phase"
STORY = "The keeper of the lighthouse had not spoken to anyone"
LEFT = "loopback: POST /v1/messages: the reader left in the middle"


class Opened(NamedTuple):
    """The page of a chat that has just been started."""

    browser: Chrome
    chat: Running
    receiver: OtlpReceiver

    def ask(self, question: str) -> None:
        self.browser.find_element(By.ID, "question").send_keys(question, Keys.ENTER)

    def text(self, selector: str) -> str:
        """Of all elements that match, in lines."""
        return "\n".join(element.text for element in self.browser.find_elements(By.CSS_SELECTOR, selector))

    def wait_for(self, selector: str, text: str) -> None:
        wait_until(lambda: text in self.text(selector))

    def log(self) -> str:
        return self.chat.output.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Generator[Chrome]:
    with chromium(tmp_path_factory.mktemp("profile")) as started:
        yield started


@pytest.fixture
def opened(browser: Chrome, tmp_path: Path) -> Generator[Opened]:
    with OtlpReceiver() as receiver, serving("fastapi_chat/app.py", environment(receiver), tmp_path) as chat:
        browser.switch_to.new_window("tab")
        browser.get(f"http://127.0.0.1:{chat.port}/")
        yield Opened(browser, chat, receiver)
        browser.switch_to.window(browser.window_handles[0])


def test_stop_is_pressed(opened: Opened) -> None:
    """Stop in the middle: the page keeps the beginning and says so, the span says why, and the API saw it."""
    opened.ask("Tell me a story")
    opened.wait_for(".assistant", STORY)

    opened.browser.find_element(By.ID, "stop").click()

    [span] = streams(opened.receiver)
    assert told(span, *END) == {
        "outcome": "aborted",
        "abort.reason": "user_stop",
        "abort.connection_closed": True,
        "phase": "text",
    }
    opened.wait_for(".note", "You stopped this answer.")
    assert opened.text(".assistant").startswith(STORY)
    assert opened.browser.find_element(By.ID, "send").is_displayed()
    wait_until(lambda: LEFT in opened.log())


def test_the_tab_is_closed(opened: Opened) -> None:
    """A tab that is closed in the middle is told apart from Stop, and the API saw it, too."""
    opened.ask("Tell me a story")
    opened.wait_for(".assistant", STORY)

    opened.browser.close()

    [span] = streams(opened.receiver)
    assert told(span, *END) == {
        "outcome": "aborted",
        "abort.reason": "client_disconnected",
        "abort.connection_closed": True,
        "phase": "text",
    }
    wait_until(lambda: LEFT in opened.log())


def test_the_guardrail(opened: Opened) -> None:
    """The page says that a guardrail stopped the answer, and shows no whole card number; the next question works."""
    opened.ask("What is the number of my card?")
    opened.wait_for(".note", "the answer was about to show a card number")
    opened.ask("Tell me a story")
    opened.wait_for(".assistant", STORY)
    opened.browser.find_element(By.ID, "stop").click()

    spans = streams(opened.receiver, 2)
    assert "Its number is 4111 1111 " in opened.text(".assistant")
    assert "4111 1111 1111 1" not in opened.text(".assistant")
    assert [told(span, "abort.reason") for span in spans] == [
        {"abort.reason": "guardrail"},
        {"abort.reason": "user_stop"},
    ]

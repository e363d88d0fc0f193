"""Takes the picture of the chat that the README of the examples shows: `make screenshots`."""

import tempfile
from pathlib import Path

from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.examples.chromium import chromium
from tests.examples.launched import ROOT, serving
from tests.launch.environment import environment
from tests.launch.receiver import OtlpReceiver
from tests.stack.collector import wait_until

PICTURE = ROOT / "docs" / "images" / "chat.png"


def main() -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        OtlpReceiver() as receiver,
        serving("fastapi_chat/app.py", environment(receiver), Path(folder)) as chat,
        chromium(Path(folder, "profile")) as browser,
    ):
        browser.get(f"http://127.0.0.1:{chat.port}/")
        question, page = browser.find_element(By.ID, "question"), browser.find_element(By.ID, "chat")
        question.send_keys("What is the number of my card?", Keys.ENTER)
        wait_until(lambda: "card number" in page.text)
        question.send_keys("Then tell me a story of a lighthouse", Keys.ENTER)
        wait_until(lambda: "over rocks" in page.text)
        browser.find_element(By.ID, "stop").click()
        wait_until(lambda: "You stopped" in page.text)
        PICTURE.write_bytes(browser.get_screenshot_as_png())


if __name__ == "__main__":
    main()

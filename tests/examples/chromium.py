"""A headless Chromium, driven through chromedriver, that only talks to this machine."""

import os
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
from selenium.webdriver import Chrome, ChromeOptions, ChromeService

FLAGS = (
    "--headless",
    "--no-sandbox",  # which needs another user than root
    "--no-proxy-server",
    "--disable-gpu",
    "--no-first-run",
    # what it would ask of the network by itself
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-quic",
    "--disable-sync",
)


@contextmanager
def chromium(profile: Path) -> Generator[Chrome]:
    """With a new profile in this folder, from the start to the end of the `with` block."""
    program, driver = os.environ.get("STREAMSPAN_CHROMIUM"), shutil.which("chromedriver")
    if not (program and driver):
        pytest.fail("STREAMSPAN_CHROMIUM names no Chromium: run these tests with `make stack-test`", pytrace=False)
    options = ChromeOptions()
    options.binary_location = program
    for flag in (*FLAGS, f"--user-data-dir={profile}", "--window-size=900,900"):
        options.add_argument(flag)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("NO_PROXY", "localhost,127.0.0.1")
        browser = Chrome(options, ChromeService(driver))
    try:
        yield browser
    finally:
        browser.quit()

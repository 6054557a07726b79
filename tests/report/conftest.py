"""A browser that has opened a report."""

import time
from pathlib import Path
from typing import Any

import pytest

from tests.support import browser
from tests.support.waiting import eventually


class Page:
    """A report in a browser."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def open(self, path: Path) -> float:
        """Open a report; return the seconds until all of it was there."""
        began = time.perf_counter()
        self.driver.get(path.as_uri())
        eventually(
            lambda: self.js("document.documentElement.dataset.ready"), 30, "the page is ready"
        )
        return time.perf_counter() - began

    def js(self, expression: str, *arguments: Any) -> Any:
        return self.driver.execute_script(f"return {expression}", *arguments)

    def text(self, selector: str) -> str:
        return self.js("document.querySelector(arguments[0]).innerText", selector)

    def texts(self, selector: str) -> list[str]:
        return self.js(
            "[...document.querySelectorAll(arguments[0])].map((e) => e.innerText)", selector
        )

    def rows(self, selector: str) -> list[list[str]]:
        script = "[...document.querySelectorAll(arguments[0] + ' tbody tr')].map((r) => [...r.cells].map((c) => c.innerText))"
        return self.js(script, selector)

    def find(self, selector: str) -> Any:
        return self.driver.find_element("css selector", selector)

    def keys(self, selector: str, *keys: str) -> None:
        self.find(selector).send_keys(*keys)

    @property
    def problems(self) -> list[str]:
        """What the browser complained of: errors, and what the page's policy forbade."""
        log = self.driver.get_log("browser")
        return [entry["message"] for entry in log if entry["level"] == "SEVERE"]


@pytest.fixture
def page():
    """Give the test a browser; whatever that complains of fails the test."""
    if browser.missing():
        pytest.skip(browser.missing())
    with browser.chromium() as driver:
        page = Page(driver)
        yield page
        assert page.problems == []

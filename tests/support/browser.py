"""A real browser for the tests that look at pages: Chromium, headless, driven by its own driver.

``python -m tests.support.browser`` installs Debian's packages where they are missing and can be
installed; `make test` does that once. Tests that find no browser skip, and say so.
"""

import logging
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_PACKAGES = ("chromium", "chromium-driver")
_OPTIONS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--hide-scrollbars", "--force-device-scale-factor=1",
)  # fmt: skip


def missing() -> str:
    """Return why no browser can be had; empty if one is there."""
    for name, program in (
        ("Chromium", _chromium()),
        ("chromedriver", shutil.which("chromedriver")),
    ):
        if program is None:
            return (
                f"NO BROWSER: {name} is not installed, so nobody looks at the report. Debian: "
                f"apt-get install {' '.join(_PACKAGES)}"
            )
    return ""


def install() -> None:
    """Install the browser, if it is missing and this machine lets us."""
    if not missing() or shutil.which("apt-get") is None or os.geteuid() != 0:
        return
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (
        ["update", "-qq"],
        ["install", "-y", "-qq", "--no-install-recommends", *_PACKAGES],
    ):
        subprocess.run(
            ["apt-get", *command], env=environment, check=False, stdout=subprocess.DEVNULL
        )


@contextmanager
def chromium(width: int = 1280, height: int = 900) -> Iterator[Any]:
    """Start a browser; every process and file of it is gone afterwards."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    logging.getLogger("selenium").setLevel(logging.WARNING)
    options = webdriver.ChromeOptions()
    options.binary_location = _chromium()
    for option in (*_OPTIONS, f"--window-size={width},{height}"):
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    with tempfile.TemporaryDirectory() as folder:  # Chromium does not clean up after itself
        service = Service(
            shutil.which("chromedriver"),
            log_output=subprocess.DEVNULL,
            env={**os.environ, "TMPDIR": folder},
        )
        driver = webdriver.Chrome(options=options, service=service)
        try:
            yield driver
        finally:
            driver.quit()


def _chromium() -> str | None:
    return shutil.which("chromium") or shutil.which("chromium-browser")


if __name__ == "__main__":
    install()
    sys.stderr.write(f"{missing() or _chromium()}\n")

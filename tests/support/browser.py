"""This machine's Chromium, headless, with an empty profile."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import sync_playwright

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import BrowserContext

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = [
    "--no-sandbox",  # the tests may run as root, and the page is our own
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def executable() -> str:
    """Return the browser's path; skip the test, with a message, if there is no browser."""
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip("no Chromium on the PATH, so the console was not tested. Install it: apt-get install chromium")
    return found


@contextmanager
def browser(profile: Path, *, dark: bool = False) -> Iterator[BrowserContext]:
    """Open a browser."""
    path = executable()
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            profile,
            executable_path=path,
            headless=True,
            args=FLAGS,
            color_scheme="dark" if dark else "light",
            viewport={"width": 1280, "height": 900},
            reduced_motion="reduce",
        )
        try:
            yield context
        finally:
            context.close()

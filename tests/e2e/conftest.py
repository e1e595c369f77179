"""A real browser before the real server."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.sync_api import Browser, Error, Page, sync_playwright

from tests.web.conftest import Site, clock, site  # noqa: F401 - fixtures, used by their names
from tests.web.test_server import serving

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
# Without these it looks for its maker's hosts at every start.
_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The system's Chromium, without a window."""
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed: apt-get install chromium")
    with sync_playwright() as playwright:
        try:
            opened = playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=_ARGUMENTS)
        except Error as error:
            pytest.fail(f"Chromium is there but does not start: {str(error)[:300]}")
        yield opened
        opened.close()


@dataclass
class Visitor:
    """Somebody at a browser: opens pages of the site, 1280 points wide unless they say otherwise."""

    browser: Browser
    base: str

    def open(self, path: str, *, width: int = 1280, **context: Any) -> Page:
        opened = self.browser.new_context(viewport={"width": width, "height": 900}, **context)
        page = opened.new_page()
        page.goto(self.base + path)
        return page


@pytest.fixture
def visitor(browser: Browser, site: Site) -> Iterator[Visitor]:  # noqa: F811 - the fixture, not the name above
    with serving(site) as server:
        yield Visitor(browser, f"http://127.0.0.1:{server.port}")
        for context in browser.contexts:
            context.close()

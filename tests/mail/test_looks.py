"""How messages look in a real browser: on a telephone and on a desk, in light and in dark."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from events_service.mail.compose import Form
from events_service.mail.moments import Span
from tests.e2e.conftest import browser  # noqa: F401 - a fixture, used by its name
from tests.mail.given import MESSAGES, MUNICH, URLS, munich, occasion
from tests.mail.reading import body, read
from tests.mail.test_compose import AT, RENDERER, letter

# Of every text that shows: the contrast of its colour with the nearest ground that is painted (WCAG 2.2, 1.4.3).
CONTRASTS = """() => {
  const light = colour => {
    const part = v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    return 0.2126 * part(colour[0]) + 0.7152 * part(colour[1]) + 0.0722 * part(colour[2]);
  };
  const numbers = text => text.match(/[\\d.]+/g).map(Number);
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode.data.trim();
    if (!text) continue;
    let element = walker.currentNode.parentElement;
    const ink = light(numbers(getComputedStyle(element).color));
    let ground = null;
    for (; element && ground === null; element = element.parentElement) {
      const painted = numbers(getComputedStyle(element).backgroundColor);
      if (painted.length < 4 || painted[3] > 0) ground = light(painted);
    }
    found.push([text, (Math.max(ink, ground) + 0.05) / (Math.min(ink, ground) + 0.05)]);
  }
  return found;
}"""


def html(template: str, title: str = MUNICH.title) -> str:
    subject = munich(title=title, was=Span(MUNICH.span.starts, MUNICH.span.ends, "UTC"), reason="A fire.")
    said = RENDERER.render(template, subject, "en", "Europe/London", occasion(template))
    return body(read(Form(said.subject, said.text, said.html).fill(letter(), AT).data), "text/html")


def opened(browser: Browser, content: str, **context: Any) -> Page:  # noqa: F811
    page = browser.new_context(**context).new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.set_content(content)
    assert asked == [], "nothing is fetched from anywhere"
    return page


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 700])
def test_every_message_can_be_read(browser: Browser, scheme: str, width: int) -> None:  # noqa: F811
    for template in MESSAGES:
        page = opened(browser, html(template), viewport={"width": width, "height": 800}, color_scheme=scheme)
        contrasts = page.evaluate(CONTRASTS)
        assert len(contrasts) > 5
        assert [found for found in contrasts if found[1] < 4.5] == [], template
        assert page.evaluate("document.documentElement.scrollWidth") == width, "nothing to scroll sideways"
        ground = page.eval_on_selector(".sheet", "sheet => getComputedStyle(sheet).backgroundColor")
        assert ground == {"light": "rgb(255, 255, 255)", "dark": "rgb(26, 34, 43)"}[scheme]
        page.context.close()


def test_a_button_fills_a_telephone_and_not_a_desk(browser: Browser) -> None:  # noqa: F811
    widths = {}
    for width in (360, 700):
        page = opened(browser, html("invitation"), viewport={"width": width, "height": 800})
        box = page.locator("a.button").bounding_box()
        assert box
        assert box["height"] >= 44, "a thumb can hit it"
        widths[width] = box["width"]
        assert page.locator("a.button").get_attribute("href") == URLS["reply_url"]
        page.context.close()
    assert widths[360] == 360 - 2 * 16
    assert widths[700] < 300


def test_a_long_word_does_not_widen_it(browser: Browser) -> None:  # noqa: F811
    page = opened(browser, html("invitation", "x" * 400), viewport={"width": 360, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    page.context.close()

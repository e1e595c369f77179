"""The pages in a real browser: by keyboard alone, narrow and wide, light and dark, without scripts, against axe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from events_service import feeds
from tests.e2e.conftest import Visitor
from tests.web.conftest import NOW, Site

AXE = Path(__file__).parents[1] / "tools" / "node_modules" / "axe-core" / "axe.min.js"
PAGES = ("event", "reply", "survey", "unsubscribe", "over", "feed")


def path_of(site: Site, name: str) -> str:
    """The path of a page by its name; `over` is the reply page of an event that is past."""
    if name == "feed":
        with site.database.write() as session:
            return f"/feeds/{feeds.create(session, 'person', 'ada@example.org', NOW)[1]}"
    paths = {"event": "/events/energy", "survey": site.survey, "unsubscribe": site.unsubscribe}
    return paths.get(name, site.reply)


def press(page: Page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def focused(page: Page) -> Any:
    return page.evaluate("() => document.activeElement.id || document.activeElement.textContent.trim()")


def test_a_reply_by_keyboard_alone_without_scripts(visitor: Visitor, site: Site) -> None:
    page = visitor.open(site.reply, java_script_enabled=False)
    press(page, "Tab", "Enter")  # the skip link
    assert page.url.endswith("#main")
    press(page, "Tab", "Space", "ArrowDown", "ArrowDown")  # into the radios, and to the third
    assert page.locator("#reply-declined").is_checked()
    press(page, "ArrowUp", "Tab")
    page.keyboard.type("My colleague comes instead")
    press(page, "Tab", "Enter")
    page.wait_for_selector("h1:has-text('we have you down as perhaps')")
    attendee = site.attendee()
    assert (attendee.reply, attendee.reply_note) == ("tentative", "My colleague comes instead")


def test_the_order_of_the_keyboard_is_that_of_the_page(visitor: Visitor, site: Site) -> None:
    page = visitor.open(f"{site.reply}?reply=declined")
    order = []
    for _ in range(4):
        press(page, "Tab")
        order.append(focused(page))
    assert order == ["Skip to the content", "reply-declined", "note", "Send reply"]


def test_a_fault_leads_to_its_field(visitor: Visitor, site: Site) -> None:
    page = visitor.open(site.survey)
    page.get_by_label("new contacts").first.fill("many")
    page.get_by_role("button", name="Send answers").click()
    alert = page.get_by_role("alert")
    assert alert.get_by_role("link").count() == 2
    alert.get_by_role("link", name="Write a whole number").or_(alert.locator("a[href='#q-contacts']")).first.click()
    assert page.locator(":target").get_attribute("id") == "q-contacts"
    assert page.locator("#q-contacts").input_value() == "many"
    page.locator("#q-contacts").fill("3")
    page.get_by_role("group", name="How useful was it").get_by_label("4").check()
    page.get_by_role("button", name="Send answers").click()
    assert page.locator("h1").inner_text() == "Thank you for your answers"


def test_unsubscribing(visitor: Visitor, site: Site) -> None:
    page = visitor.open(site.unsubscribe)
    page.get_by_role("button", name="Unsubscribe").click()
    assert page.locator("h1").inner_text() == "You are unsubscribed"


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("name", PAGES)
def test_pages_fit_and_load_without_complaint(visitor: Visitor, site: Site, name: str, width: int) -> None:
    if name == "over":
        site.clock.at = site.clock.at.replace(year=2025)
    opened = visitor.browser.new_context(viewport={"width": width, "height": 900})
    page = opened.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type != "log" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    path = path_of(site, name)
    page.goto(visitor.base + path)
    assert [line for line in complaints if "favicon" not in line] == []
    assert [url for url in requests if not url.endswith("/favicon.ico")] == [visitor.base + path]
    assert page.evaluate("() => document.documentElement.scrollWidth") <= width
    assert page.evaluate("() => getComputedStyle(document.body).margin") == "0px", "the style sheet was not taken"
    small = (
        "() => [...document.querySelectorAll('button, .button, .choice')].map(e => e.getBoundingClientRect().height)"
    )
    assert all(height >= 44 for height in page.evaluate(small))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", [*PAGES, "faulty", "done"])
def test_axe_finds_nothing(visitor: Visitor, site: Site, name: str, scheme: str) -> None:
    if not AXE.exists():
        pytest.skip("axe is not installed: cd tests/tools && npm ci")
    if name == "over":
        site.clock.at = site.clock.at.replace(year=2025)
    path = site.survey if name == "faulty" else path_of(site, name)
    page = visitor.open(path, color_scheme=scheme, width=360 if scheme == "dark" else 1280, bypass_csp=True)
    if name == "faulty":
        page.locator("#q-contacts").fill("many")
        page.get_by_role("button", name="Send answers").click()
        page.get_by_role("alert").wait_for()
    elif name == "done":
        page.get_by_label("Yes, I will come").check()
        page.get_by_role("button", name="Send reply").click()
        page.get_by_role("status").wait_for()
    page.add_script_tag(path=str(AXE))
    found = page.evaluate("() => axe.run(document, {resultTypes: ['violations', 'incomplete']})")
    assert len(found["passes"]) > 10
    wrong = [(one["id"], node["html"]) for one in found["violations"] for node in one["nodes"]]
    unsure = [(one["id"], node["html"]) for one in found["incomplete"] for node in one["nodes"]]
    assert wrong == [] and unsure == []


def test_focus_can_be_seen(visitor: Visitor, site: Site) -> None:
    page = visitor.open(site.reply)
    press(page, "Tab")
    assert page.locator(".skip").bounding_box()["y"] >= 0  # type: ignore[index]
    press(page, "Tab")
    ring = "() => getComputedStyle(document.activeElement.closest('label')).outlineWidth"
    assert page.evaluate(ring) == "3px"

"""The page without its client library, and the library's hash."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.chromium import Tab, new_context
from tests.support.server import Server

pytestmark = pytest.mark.browser


def test_blocked_library_is_said(browser: Browser, server: Server, tmp_path: Path) -> None:
    page = new_context(browser).new_page()
    page.route("**/socket.io.min.js", lambda route: route.abort())
    page.goto(server.url)
    tab = Tab(page)
    tab.sees("#banner", "could not be loaded from this server")
    tab.sees("#banner", "make node")
    expect(page.locator("#join")).to_be_disabled()
    tab.picture(tmp_path / "blocked.png")
    page.unroute_all()
    tab.press("#banner-action")
    tab.press("#join")
    tab.state("joined")


def test_changed_library_is_refused(browser: Browser, server: Server) -> None:
    page = new_context(browser).new_page()
    page.route("**/socket.io.min.js", lambda route: route.fulfill(body="globalThis.io = null", status=200))
    page.goto(server.url)
    Tab(page).sees("#banner", "could not be loaded")


def test_page_keeps_its_own_security_policy(browser: Browser, server: Server) -> None:
    page = new_context(browser).new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(f"{server.url}/?user=policy")
    Tab(page).state("joined")
    page.evaluate("document.body.append(Object.assign(document.createElement('script'), {textContent: 'hacked = 1'}))")
    assert page.evaluate("typeof hacked") == "undefined"
    assert [text for text in complaints if "Content Security Policy" not in text] == []
    assert len(complaints) == 1

"""The demo page on a server that asks for tokens: it asks its user, proves who he is, and says what is wrong."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.adapters.jwt.tokens import NEW_SECRET, forged
from tests.browser.chromium import Tab, join, open_tab
from tests.support.server import Server, running_server

pytestmark = pytest.mark.browser
SETTINGS = {
    "AUTH_JWT_SECRETS": NEW_SECRET,
    "AUTH_LEEWAY_S": "0",
    "AUTH_EXPIRY_GRACE_S": "0",
    "LIMIT_CALL_INITIATE": "1/1h",
}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_server(tmp_path_factory.mktemp("guarded"), **SETTINGS) as running:
        yield running


def token(user: str, lives_s: float = 600) -> str:
    return forged({"alg": "HS256"}, {"sub": user, "exp": int(time.time() + lives_s)}, NEW_SECRET.encode())


def signed_in(browser: Browser, server: Server, user: str, lives_s: float = 600) -> Tab:
    tab = open_tab(browser, f"{server.url}/?user={user}#token={token(user, lives_s)}")
    tab.state("joined")
    return tab


def give(tab: Tab, text: str) -> None:
    tab.page.fill("#token", text)
    tab.press("#token-use")


def test_the_page_asks_for_a_token_until_a_good_one_is_given(browser: Browser, guarded: Server, tmp_path: Path) -> None:
    tab = open_tab(browser, f"{guarded.url}/?user=ann")
    tab.sees("#token-text", "asks for a token")
    tab.picture(tmp_path / "asked.png")
    give(tab, "no token at all")
    tab.sees("#token-text", "does not accept this token")
    give(tab, token("ann", -5))
    tab.sees("#token-text", "has expired")
    give(tab, token("ann"))
    tab.state("joined")
    expect(tab.page.locator("#token-form")).to_be_hidden()
    tab.page.reload()
    tab.state("joined")


def test_a_token_in_the_address_is_used_and_goes_no_further(browser: Browser, guarded: Server) -> None:
    tab = signed_in(browser, guarded, "cleo")
    assert "token" not in tab.page.url
    assert "eyJ" not in tab.page.locator("#log").inner_text()


def test_the_name_must_be_the_tokens(browser: Browser, guarded: Server) -> None:
    tab = open_tab(browser, f"{guarded.url}/?user=dan#token={token('eve')}")
    tab.sees("#join-problem", "another user's")


def test_a_fresh_token_in_time_keeps_the_connection(browser: Browser, guarded: Server) -> None:
    tab = signed_in(browser, guarded, "fay", lives_s=30)
    tab.sees("#token-text", "expires within a minute")
    give(tab, token("gus"))
    tab.sees("#token-text", "belongs to somebody else")
    fresh = token("fay")
    tab.page.evaluate("text => { location.hash = `token=${text}`; }", fresh)
    tab.heard("auth:refresh", 2)
    expect(tab.page.locator("#token-form")).to_be_hidden()
    assert "token" not in tab.page.url
    assert len(tab.logged("user:joined")) == 1
    assert fresh not in tab.page.locator("#log").inner_text()


def test_who_gives_none_is_told_that_it_has_expired_and_can_come_back(browser: Browser, guarded: Server) -> None:
    tab = signed_in(browser, guarded, "hal", lives_s=3)
    tab.heard("the token has run out")
    tab.sees("#token-text", "Your token has expired")
    tab.state("offline")
    give(tab, token("hal"))
    tab.state("joined")


def test_a_call_that_comes_too_soon_says_when_it_may(browser: Browser, guarded: Server) -> None:
    tab = signed_in(browser, guarded, "ida")
    tab.call("nobody")
    tab.sees("#call-problem", "nobody is offline")
    tab.call("nobody")
    tab.sees("#call-problem", "That was too often. Try again in")


def test_a_server_without_tokens_asks_for_none(browser: Browser, server: Server) -> None:
    tab = join(browser, server.url, "jo-without")
    expect(tab.page.locator("#token-form")).to_be_hidden()

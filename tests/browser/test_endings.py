"""Calls that do not come about, and what the page says of them."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.chromium import Tab, join
from tests.support.server import Server, running_server
from tests.synthetic.support import scrape

pytestmark = pytest.mark.browser

ICE_FAILED = 'signalling_ice_outcomes_total{result="failed"}'


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    settings = {"RING_TIMEOUT_S": "1", "RECONNECT_GRACE_S": "0.5"}
    with running_server(tmp_path_factory.mktemp("impatient"), **settings) as running:
        yield running


def test_declined(pair: tuple[Tab, Tab], tmp_path: Path) -> None:
    alice, bob = pair
    alice.ask_for(bob)
    bob.press("#reject")
    alice.sees("#ending", f"{bob.user} declined")
    bob.sees("#ending", "You declined")
    alice.picture(tmp_path / "declined.png")


def test_cancelled(pair: tuple[Tab, Tab]) -> None:
    alice, bob = pair
    alice.ask_for(bob)
    alice.press("#hangup")
    alice.sees("#ending", "You cancelled")
    bob.sees("#ending", "Missed call")


def test_not_answered(browser: Browser, impatient: Server) -> None:
    alice, bob = join(browser, impatient.url, "alice"), join(browser, impatient.url, "bob")
    alice.call("bob")
    alice.sees("#ending", "bob did not answer in time")
    bob.sees("#ending", "You did not answer alice in time")


def test_callee_offline(pair: tuple[Tab, Tab], tmp_path: Path) -> None:
    alice, _bob = pair
    alice.call("nobody")
    alice.sees("#call-problem", "nobody is offline")
    alice.state("joined")
    alice.picture(tmp_path / "offline.png")
    alice.page.fill("#callee", "")
    expect(alice.page.locator("#call-problem")).to_be_hidden()
    alice.press("#call-audio")
    alice.sees("#call-problem", "Enter the name")


def test_callee_busy_and_calling_oneself(browser: Browser, server: Server, pair: tuple[Tab, Tab]) -> None:
    alice, bob = pair
    alice.ask_for(bob, "audio")
    bob.press("#accept")
    bob.state("connected")
    carol = join(browser, server.url, f"carol-of-{alice.user}")
    carol.call(bob.user)
    carol.sees("#call-problem", "in another call")
    carol.call(carol.user)
    carol.sees("#call-problem", "cannot call yourself")
    bob.state("connected")


def test_the_other_tab_is_closed(browser: Browser, impatient: Server) -> None:
    alice, bob = join(browser, impatient.url, "alice"), join(browser, impatient.url, "bob")
    alice.call("bob", "audio")
    bob.press("#accept")
    alice.state("connected")
    bob.page.close()
    alice.heard("call:peer-reconnecting")
    alice.sees("#ending", "is gone")


def test_media_that_finds_no_way_ends_the_call(browser: Browser, server: Server, pair: tuple[Tab, Tab]) -> None:
    alice, bob = pair
    before = scrape(server.metrics_url)[ICE_FAILED]
    # As behind a firewall that lets no packet through: the browser reports what it reports then.
    bob.page.evaluate(
        """() => Object.defineProperty(RTCPeerConnection.prototype, "connectionState", { get: () => "failed" })"""
    )
    alice.ask_for(bob)
    bob.press("#accept")
    for tab in pair:
        tab.sees("#ending", "No connection for sound and picture")
    assert "code: failed" in bob.logged("call:end")[0]
    assert scrape(server.metrics_url)[ICE_FAILED] == before + 1

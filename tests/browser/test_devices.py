"""Microphone and camera: refused, absent, or forbidden to the page."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.chromium import Tab, join
from tests.support.server import Server

pytestmark = pytest.mark.browser

REFUSE_CAMERA = """
    const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
    navigator.mediaDevices.getUserMedia = (wanted) =>
        wanted.video ? Promise.reject(new DOMException("refused", "NotAllowedError")) : open(wanted);
"""
NO_DEVICES = """
    navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException("none", "NotFoundError"));
"""
NOT_SECURE = """
    Object.defineProperty(globalThis, "isSecureContext", { value: false });
    Object.defineProperty(Navigator.prototype, "mediaDevices", { value: undefined });
"""


def tabs(browser: Browser, server: Server, name: str, script: str) -> tuple[Tab, Tab]:
    """A user whose device is as the script makes it, and one with everything."""
    return join(browser, server.url, name, before=script), join(browser, server.url, f"{name}-friend")


def test_caller_without_camera_goes_on_with_audio(browser: Browser, server: Server, tmp_path: Path) -> None:
    alice, bob = tabs(browser, server, "refused", REFUSE_CAMERA)
    alice.call(bob.user)
    alice.sees("#question", "The browser may not use the camera")
    alice.picture(tmp_path / "refused.png")
    alice.choose("audio only")
    bob.state("ringing-in")
    bob.press("#accept")
    alice.state("connected")
    alice.plays("#remote")
    bob.hears()
    expect(bob.page.locator("#remote-tile")).to_have_attribute("data-picture", "no")
    expect(alice.page.locator("#camera")).to_be_disabled()


def test_callee_without_devices_only_receives(browser: Browser, server: Server) -> None:
    bob, alice = tabs(browser, server, "absent", NO_DEVICES)
    alice.ask_for(bob)
    bob.press("#accept")
    bob.sees("#question", "There is no camera")
    bob.choose("Only watch and listen")
    bob.state("connected")
    bob.plays("#remote")
    alice.state("connected")


def test_page_in_an_insecure_context_still_receives(browser: Browser, server: Server) -> None:
    alice, bob = tabs(browser, server, "insecure", NOT_SECURE)
    alice.call(bob.user)
    alice.sees("#question", "https://")
    alice.choose("Only watch and listen")
    bob.state("ringing-in")
    bob.press("#accept")
    alice.state("connected")
    alice.plays("#remote")


def test_giving_up_places_no_call(browser: Browser, server: Server) -> None:
    alice, bob = tabs(browser, server, "gives-up", REFUSE_CAMERA)
    alice.call(bob.user)
    alice.choose("Cancel")
    alice.state("joined")
    assert not alice.logged("call:initiate")
    bob.state("joined")


def test_question_goes_away_when_the_caller_does(browser: Browser, server: Server) -> None:
    bob, alice = tabs(browser, server, "too-late", REFUSE_CAMERA)
    alice.ask_for(bob)
    bob.press("#accept")
    bob.sees("#question", "camera")
    alice.press("#hangup")
    bob.sees("#ending", "Missed call")
    expect(bob.page.locator("#question")).to_be_hidden()

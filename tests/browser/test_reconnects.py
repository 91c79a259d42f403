"""Connections that break in the middle of a call, and pages that are loaded anew: the call goes on."""

import itertools
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.browser.chromium import Tab, join
from tests.support.server import Server
from tests.support.wire import Wire, wire_to

pytestmark = pytest.mark.browser
_numbers = itertools.count(1)


@pytest.fixture
def wire(server: Server) -> Iterator[Wire]:
    with wire_to(server.port) as wire:
        yield wire


@pytest.fixture
def wired(browser: Browser, server: Server, wire: Wire) -> tuple[Tab, Tab]:
    """Alice behind a wire, Bob without."""
    number = next(_numbers)
    return join(browser, wire.url, f"wired-alice{number}"), join(browser, server.url, f"wired-bob{number}")


def call(caller: Tab, callee: Tab) -> None:
    """A video call in which both see each other."""
    caller.ask_for(callee)
    callee.press("#accept")
    for tab in (caller, callee):
        tab.state("connected")
        tab.plays("#remote")


def goes_on(*tabs: Tab) -> None:
    """Each sees and hears the other."""
    for tab in tabs:
        tab.state("connected")
        tab.plays("#remote")
        tab.hears()


def hang_up(one: Tab, other: Tab) -> None:
    """One hangs up, and both know."""
    one.press("#hangup")
    one.sees("#ending", "You hung up")
    other.sees("#ending", f"{one.user} hung up")


@pytest.mark.parametrize("who", [0, 1], ids=["by the one who was away", "by the other"])
def test_websocket_is_killed_media_goes_on_and_either_can_hang_up(wired: tuple[Tab, Tab], wire: Wire, who: int) -> None:
    alice, bob = wired
    call(alice, bob)
    wire.cut()
    bob.sees("#note", "has lost the connection")
    alice.heard("disconnected: transport")
    goes_on(alice, bob)
    wire.mend()
    bob.heard("call:peer-reconnected")
    goes_on(alice, bob)
    assert len(alice.logged("call:offer")) == 1, "nothing had to be negotiated anew"
    hang_up(wired[who], wired[1 - who])


def test_hanging_up_without_a_connection_is_told_later(wired: tuple[Tab, Tab], wire: Wire) -> None:
    alice, bob = wired
    call(alice, bob)
    wire.cut()
    bob.heard("call:peer-reconnecting")
    alice.heard("disconnected: transport")
    alice.press("#hangup")
    alice.sees("#ending", "You hung up")
    wire.mend()
    bob.sees("#ending", f"{alice.user} hung up")
    alice.state("ended")


def test_the_callee_answers_while_the_caller_is_away(wired: tuple[Tab, Tab], wire: Wire) -> None:
    alice, bob = wired
    alice.ask_for(bob)
    wire.cut()
    bob.heard("call:peer-reconnecting")
    bob.press("#accept")
    bob.state("connecting")
    wire.mend()
    goes_on(alice, bob)


def test_the_offer_waits_for_a_callee_that_is_away(wired: tuple[Tab, Tab], wire: Wire) -> None:
    alice, bob = wired
    bob.page.evaluate(
        """() => {
            const describe = RTCPeerConnection.prototype.setLocalDescription;
            const gate = new Promise(resolve => { globalThis.letGo = resolve; });
            RTCPeerConnection.prototype.setLocalDescription = async function (...description) {
                await gate;
                return describe.apply(this, description);
            };
        }"""
    )
    bob.ask_for(alice)
    alice.press("#accept")
    alice.state("connecting")
    wire.cut()
    bob.heard("call:peer-reconnecting")
    bob.page.evaluate("globalThis.letGo()")
    bob.heard("ice:candidate")
    wire.mend()
    goes_on(alice, bob)
    assert alice.logged("call:offer")[0].split()[1] == "↓"


def test_media_that_was_interrupted_meanwhile_finds_new_ways(wired: tuple[Tab, Tab], wire: Wire) -> None:
    alice, bob = wired
    alice.page.evaluate(
        """() => {
            const state = Object.getOwnPropertyDescriptor(RTCPeerConnection.prototype, "connectionState").get;
            globalThis.interrupted = true;
            Object.defineProperty(RTCPeerConnection.prototype, "connectionState", {
                get() { return globalThis.interrupted && globalThis.isCalled ? "disconnected" : state.call(this); },
            });
        }"""
    )
    call(alice, bob)
    alice.page.evaluate("globalThis.isCalled = true")
    wire.cut()
    bob.heard("call:peer-reconnecting")
    wire.mend()
    alice.heard("call:answer", times=2)
    alice.page.evaluate("globalThis.interrupted = false")
    goes_on(alice, bob)
    hang_up(bob, alice)


@pytest.mark.parametrize("who", [0, 1], ids=["caller", "callee"])
def test_a_page_loaded_anew_goes_on_with_its_call(pair: tuple[Tab, Tab], who: int) -> None:
    call(*pair)
    reloaded, other = pair[who], pair[1 - who]
    reloaded.page.reload()
    other.heard("call:peer-reconnected")
    goes_on(*pair)
    hang_up(other, reloaded)


def test_a_page_loaded_anew_twice(pair: tuple[Tab, Tab]) -> None:
    alice, bob = pair
    call(alice, bob)
    for times in (1, 2):
        alice.page.reload()
        bob.heard("call:peer-reconnected", times=times)
        goes_on(alice, bob)
    hang_up(alice, bob)


def test_a_page_loaded_anew_while_it_rings(pair: tuple[Tab, Tab]) -> None:
    alice, bob = pair
    alice.ask_for(bob)
    alice.page.reload()
    alice.state("ringing-out")
    bob.page.reload()
    bob.state("ringing-in")
    bob.press("#accept")
    goes_on(alice, bob)
    hang_up(bob, alice)

"""Two people, one call: from the first click to the hang-up, with real media."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.chromium import Tab, open_tab
from tests.support.server import Server
from tests.synthetic.support import scrape

pytestmark = pytest.mark.browser


def test_a_newcomer_calls_himself_in_a_second_tab(browser: Browser, server: Server, tmp_path: Path) -> None:
    first = open_tab(browser, server.url)
    first.state("offline")
    first.picture(tmp_path / "join.png")
    first.press("#join")
    first.state("joined")
    first.picture(tmp_path / "home.png")
    with first.page.context.expect_page() as opened:
        first.press("#second-tab")
    second = Tab(opened.value)
    second.state("joined")
    assert (first.user, second.user) == ("alice", "bob")
    first.page.bring_to_front()
    first.press("#call-video")
    second.state("ringing-in")


def test_video_call(pair: tuple[Tab, Tab], tmp_path: Path) -> None:
    alice, bob = pair
    alice.ask_for(bob)
    bob.sees("#line", "video call")
    alice.picture(tmp_path / "ringing-out.png")
    bob.picture(tmp_path / "ringing-in.png")
    bob.press("#accept")
    for tab in pair:
        tab.state("connected")
        tab.plays("#remote")
        tab.plays("#local")
        tab.hears()
        assert len(tab.logged("call:connected")) == 1
    alice.picture(tmp_path / "connected.png")
    alice.press("#hangup")
    alice.sees("#ending", "You hung up")
    bob.sees("#ending", f"{alice.user} hung up")
    bob.picture(tmp_path / "ended.png")
    bob.press("#done")
    bob.state("joined")


def test_both_pages_report_how_their_media_fares(pair: tuple[Tab, Tab], server: Server) -> None:
    before = scrape(server.metrics_url)
    alice, bob = pair
    for tab in pair:  # the page's ten seconds pass in a moment
        tab.page.evaluate("() => { const wait = setInterval; globalThis.setInterval = (run) => wait(run, 200); }")
    alice.ask_for(bob)
    bob.press("#accept")
    for tab in pair:
        tab.state("connected")
        tab.plays("#remote")
        tab.page.wait_for_function(
            "() => [...document.querySelectorAll('#log code')].filter(e => e.textContent === 'call:quality').length > 3"
        )
        assert tab.logged("error") == []
    alice.press("#hangup")
    bob.state("ended")
    seen = scrape(server.metrics_url)

    def more(name: str) -> float:
        return seen[f"signalling_{name}"] - before[f"signalling_{name}"]

    assert more('ice_outcomes_total{result="connected"}') == 2
    assert more('ice_outcomes_total{result="failed"}') == 0
    paths = ("host", "reflexive", "relay")
    assert sum(more(f'ice_selected_pairs_total{{path="{path}",protocol="udp"}}') for path in paths) == 2
    assert sum(more(f'media_rtt_seconds_count{{path="{path}"}}') for path in paths) > 2
    for direction in ("in", "out"):
        assert more(f'media_throughput_bytes_per_second_sum{{direction="{direction}"}}') > 0
    assert more("media_loss_ratio_count") > 0
    assert more("media_jitter_seconds_sum") > 0
    assert more('events_total{event="call:quality",outcome="ok"}') > 6


def test_audio_call(pair: tuple[Tab, Tab], tmp_path: Path) -> None:
    alice, bob = pair
    alice.ask_for(bob, "audio")
    bob.sees("#line", "audio call")
    bob.press("#accept")
    for tab in pair:
        tab.state("connected")
        tab.hears()
        expect(tab.page.locator("#camera")).to_be_hidden()
        assert tab.page.evaluate("document.querySelector('#remote').srcObject.getVideoTracks().length") == 0
    alice.picture(tmp_path / "audio.png")


def test_call_again_swaps_the_roles(pair: tuple[Tab, Tab]) -> None:
    alice, bob = pair
    alice.ask_for(bob, "audio")
    bob.press("#accept")
    bob.state("connected")
    bob.press("#hangup")
    alice.state("ended")
    bob.press("#again")
    alice.state("ringing-in")
    alice.press("#accept")
    for tab in pair:
        tab.state("connected")
        tab.hears()


def test_both_call_each_other_at_once(pair: tuple[Tab, Tab]) -> None:
    alice, bob = pair
    names = alice.user, bob.user
    for tab, callee in zip(pair, reversed(names), strict=True):
        tab.page.fill("#callee", callee)
        # The devices of both open at the same moment, so that neither has heard of the other's call.
        tab.page.evaluate(
            """() => {
                const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
                navigator.mediaDevices.getUserMedia = async (wanted) => {
                    const stream = await open(wanted);
                    await new Promise(resolve => { globalThis.letGo = resolve; });
                    return stream;
                };
            }"""
        )
        tab.press("#call-video")
    for tab in pair:
        tab.page.wait_for_function("() => Boolean(globalThis.letGo)")
    for tab in pair:
        tab.page.evaluate("globalThis.letGo()")
    for tab in pair:
        tab.state("connected")
        tab.plays("#remote")
    assert sum(len(tab.logged("call:offer")) for tab in pair) == 2, "one sent, one received"


def test_muted_microphone_is_silent_and_back_again(pair: tuple[Tab, Tab]) -> None:
    alice, bob = pair
    alice.ask_for(bob)
    bob.press("#accept")
    bob.state("connected")
    alice.state("connected")
    alice.press("#mic")
    expect(alice.page.locator("#mic")).to_have_attribute("aria-pressed", "true")
    alice.sees("#local-tile", "muted")
    enabled = "document.querySelector('#local').srcObject.getTracks().map(track => [track.kind, track.enabled])"
    assert dict(alice.page.evaluate(enabled)) == {"audio": False, "video": True}
    alice.press("#mic")
    alice.press("#camera")
    assert dict(alice.page.evaluate(enabled)) == {"audio": True, "video": False}
    expect(alice.page.locator("#local-tile")).to_have_attribute("data-picture", "no")
    bob.hears()


def test_log_holds_events_but_no_addresses(pair: tuple[Tab, Tab]) -> None:
    alice, bob = pair
    alice.ask_for(bob)
    bob.press("#accept")
    alice.state("connected")
    assert "offer, " in alice.logged("call:offer")[0]
    assert "candidate, 0." in alice.logged("ice:candidate")[0]
    text = alice.page.locator("#log").inner_text()
    for secret in ("ice-ufrag", "typ host", "127.0.0.1", "fingerprint"):
        assert secret not in text
    assert [row.split()[1] for row in alice.logged("call:accepted")] == ["↓"]
    assert alice.logged("call:initiate")[0].split()[1] == "↑"

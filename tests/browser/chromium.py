"""A headless Chromium with made-up devices, and the demo page in it."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

DEADLINE_MS = 10_000

SWITCHES = [
    "--no-sandbox",
    "--use-fake-device-for-media-stream=fps=15",
    "--use-fake-ui-for-media-stream",
    "--allow-loopback-in-peer-connection",
    "--autoplay-policy=no-user-gesture-required",
    "--mute-audio",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-sync",
    "--no-first-run",
    "--disable-features=WebRtcHideLocalIpsWithMdns,Translate,MediaRouter,OptimizationHints",
]

SMALL_VIDEO = """
    const openAnySize = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
    navigator.mediaDevices.getUserMedia = ({ audio, video }) =>
        openAnySize({ audio, video: video && { width: 320, height: 240 } });
"""
"""Large pictures encoded without a graphics card would take most of the tests' time."""

LAPTOP = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}


@contextlib.contextmanager
def chromium(executable: str) -> Iterator[Browser]:
    """A browser, closed afterwards."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=SWITCHES)
        try:
            yield browser
        finally:
            browser.close()


class Tab:
    """The demo page as one user sees it. Every method waits for what it names, up to `DEADLINE_MS`."""

    def __init__(self, page: Page) -> None:
        self.page = page
        page.set_default_timeout(DEADLINE_MS)

    @property
    def user(self) -> str:
        """Who has joined here."""
        return self.page.locator("#user").input_value()

    def state(self, expected: str) -> None:
        """Wait for a state of the call, one of the words of `STATES` in words.js."""
        try:
            expect(self.page.locator("#state")).to_have_attribute("data-state", expected, timeout=DEADLINE_MS)
        except AssertionError as failure:
            failure.add_note(f"Banner: {self.page.locator('#banner').inner_text()}")
            failure.add_note("\n".join(["Events:", *self.logged("")]))
            raise

    def sees(self, selector: str, text: str) -> None:
        """Wait until a visible element contains a text."""
        place = self.page.locator(selector)
        expect(place).to_contain_text(text, timeout=DEADLINE_MS)
        expect(place).to_be_visible(timeout=DEADLINE_MS)

    def press(self, selector: str) -> None:
        """Click."""
        self.page.click(selector)

    def call(self, callee: str, kind: str = "video") -> None:
        """Call somebody."""
        self.page.fill("#callee", callee)
        self.press(f"#call-{kind}")

    def choose(self, choice: str) -> None:
        """Answer the question about devices."""
        self.page.click(f"#question button:has-text('{choice}')")

    def ask_for(self, other: "Tab", kind: str = "video") -> None:
        """Call another tab's user and see it ring there."""
        self.call(other.user, kind)
        other.state("ringing-in")
        self.state("ringing-out")

    def logged(self, event: str) -> list[str]:
        """The rows of the event log about an event, as text."""
        rows = self.page.locator("#log li", has=self.page.locator("code", has_text=event)).all_inner_texts()
        return [" ".join(row.split()) for row in rows]

    def heard(self, event: str, times: int = 1) -> None:
        """Wait until the event log has an event this often."""
        rows = self.page.locator("#log li", has=self.page.locator("code", has_text=event))
        rows.nth(times - 1).wait_for(state="attached")

    def plays(self, video: str) -> None:
        """Wait until further frames of a video arrive and have been decoded."""
        self.page.wait_for_function(
            """selector => new Promise(resolve => {
                const video = document.querySelector(selector);
                let frames = 0;
                const next = () => (frames += 1) > 3 && video.videoWidth > 0
                    ? resolve(true) : video.requestVideoFrameCallback(next);
                video.requestVideoFrameCallback(next);
            })""",
            arg=video,
        )

    def hears(self) -> None:
        """Wait until sound of the other party arrives that is not silence; the made-up microphone beeps."""
        self.page.wait_for_function(
            """() => {
                const stream = document.querySelector("#remote").srcObject;
                if (globalThis.metered !== stream) {
                    const context = new AudioContext();
                    globalThis.meter = new AnalyserNode(context);
                    context.createMediaStreamSource(stream).connect(globalThis.meter);
                    globalThis.metered = stream;
                }
                const samples = new Float32Array(globalThis.meter.fftSize);
                globalThis.meter.getFloatTimeDomainData(samples);
                return samples.some(sample => Math.abs(sample) > 0.01);
            }"""
        )

    def picture(self, path: Path) -> None:
        """Save what is to be seen."""
        self.page.screenshot(path=path)


def close_tabs(browser: Browser) -> None:
    """Close all tabs, as a user would."""
    for context in browser.contexts:
        context.close()


def open_tab(browser: Browser, url: str, *, before: str = "", **options: Any) -> Tab:
    """A tab of its own, nothing shared with other tabs, ready for use; the script `before` runs before the page's."""
    context = new_context(browser, **options)
    context.add_init_script(SMALL_VIDEO)
    if before:
        context.add_init_script(before)
    tab = Tab(context.new_page())
    tab.page.goto(url)
    tab.page.wait_for_selector("#join:enabled", state="attached")
    return tab


def new_context(browser: Browser, **options: Any) -> BrowserContext:
    """A context; `viewport` and the like may be given."""
    return browser.new_context(**{"viewport": LAPTOP, "locale": "en-GB", "reduced_motion": "reduce", **options})


def join(browser: Browser, url: str, user: str, **options: Any) -> Tab:
    """A tab whose user has joined."""
    tab = open_tab(browser, f"{url}/?user={user}", **options)
    tab.state("joined")
    return tab

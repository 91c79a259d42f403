"""Joining, losing the server, and joining in two tabs at once."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.chromium import join, open_tab
from tests.support.needs import ROOT
from tests.support.server import Server, free_port, running_server

pytestmark = pytest.mark.browser


@contextlib.contextmanager
def started_again(server: Server) -> Iterator[None]:
    """The same server on the same port, after it was stopped."""
    environment = {**os.environ, "HOST": "127.0.0.1", "PORT": str(server.port), "METRICS_PORT": str(free_port())}
    process = subprocess.Popen(server.process.args, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.kill()  # how a server stops is not the matter here
        process.wait(15)


def test_server_stops_and_comes_back(browser: Browser, tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        alice = join(browser, server.url, "alice")
        server.stop()
        alice.sees("#banner", "The server cannot be reached")
        alice.state("offline")
        expect(alice.page.locator("#call-video")).to_be_disabled()
        alice.picture(tmp_path / "gone.png")
        with started_again(server):
            alice.state("joined")
            expect(alice.page.locator("#banner")).to_be_hidden()
            assert len(alice.logged("user:joined")) == 2


def test_server_crashes_during_a_call(browser: Browser, tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        alice, bob = join(browser, server.url, "alice"), join(browser, server.url, "bob")
        alice.ask_for(bob)
        bob.press("#accept")
        alice.state("connected")
        bob.state("connected")
        server.stop(signal.SIGKILL)
        alice.sees("#banner", "The server cannot be reached")
        alice.state("connected")
        alice.plays("#remote")
        with started_again(server):
            for tab in (alice, bob):
                tab.sees("#ending", "The call was lost")


def test_joining_elsewhere_is_said_and_not_fought_over(browser: Browser, server: Server, tmp_path: Path) -> None:
    first = join(browser, server.url, "twice")
    second = join(browser, server.url, "twice")
    first.sees("#banner", "You joined elsewhere")
    first.state("offline")
    first.picture(tmp_path / "elsewhere.png")
    second.state("joined")
    first.press("#banner-action")
    first.state("joined")
    second.sees("#banner", "You joined elsewhere")


def test_name_is_required_and_remembered_for_the_tab(browser: Browser, server: Server) -> None:
    tab = open_tab(browser, server.url)
    tab.page.fill("#user", "  ")
    tab.press("#join")
    tab.sees("#join-problem", "Enter a name")
    tab.page.fill("#user", "remembered")
    tab.page.keyboard.press("Enter")
    tab.state("joined")
    tab.page.reload()
    tab.state("joined")
    assert tab.user == "remembered"
    tab.press("#leave")
    tab.state("offline")
    tab.page.reload()
    tab.state("offline")

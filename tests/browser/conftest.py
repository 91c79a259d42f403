"""One Chromium for the browser tests, and users of its own for each of them."""

import itertools
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.browser.chromium import Tab, chromium, close_tabs, open_tab
from tests.support.needs import need_node_module, need_program
from tests.support.server import Server

_numbers = itertools.count(1)


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    executable = need_program("chromium", "chromium")
    need_node_module("socket.io-client")
    with chromium(executable) as running:
        yield running


@pytest.fixture(autouse=True)
def _no_tabs_left(browser: Browser) -> Iterator[None]:
    yield
    close_tabs(browser)


@pytest.fixture
def pair(browser: Browser, server: Server) -> tuple[Tab, Tab]:
    """Alice and Bob, joined."""
    number = next(_numbers)
    alice, bob = (open_tab(browser, f"{server.url}/?user={name}{number}") for name in ("alice", "bob"))
    for tab in (alice, bob):
        tab.state("joined")
    return alice, bob

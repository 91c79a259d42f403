"""The demo page over plain HTTP: what is served, with which headers, and what is not."""

import base64
import hashlib
import http.client
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from service.transport.demo import CDN_URL, CLIENT_INTEGRITY, CLIENT_VERSION, LOCAL_URL, NPM_FILE, PROJECT, STATIC
from tests.support.needs import need_node_module
from tests.support.server import Server, free_port, running_server


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: str


def get(server: Server | int, path: str, **headers: str) -> Answer:
    """Ask a server, or a port, for a path as it stands here; no client tidies it up."""
    connection = http.client.HTTPConnection("127.0.0.1", server if isinstance(server, int) else server.port, timeout=10)
    try:
        connection.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        names = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, names, response.read().decode())
    finally:
        connection.close()


@pytest.fixture(scope="module")
def without_page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_server(tmp_path_factory.mktemp("no-demo"), DEMO_PAGE="false") as running:
        yield running


def test_page_comes_with_a_strict_policy(server: Server) -> None:
    page = get(server, "/")
    assert page.status == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    policy = dict(part.split(" ", 1) for part in page.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["frame-ancestors"] == "'none'"
    assert "unsafe" not in page.headers["content-security-policy"]
    assert page.headers["x-content-type-options"] == "nosniff"
    assert page.headers["referrer-policy"] == "no-referrer"


def test_page_has_no_inline_script_or_style(server: Server) -> None:
    page = get(server, "/").body
    assert re.findall(r"<script(?![^>]*\ssrc=)", page) == []
    assert re.findall(r"<style|\sstyle=|\son[a-z]+=", page) == []


def test_everything_that_the_page_names_is_there(server: Server) -> None:
    page = get(server, "/").body
    named = set(re.findall(r'(?:src|href)="(/demo/[^"]+)"', page))
    modules = set()
    for file in STATIC.glob("*.js"):
        modules |= {f"/demo/{name}" for name in re.findall(r'from "\./([^"]+)"', file.read_text())}
    assert {"/demo/main.js", "/demo/style.css"} <= named
    for path in sorted(named | modules):
        answer = get(server, path)
        assert answer.status == 200, path
        if path.endswith(".js"):
            assert answer.headers["content-type"].startswith("text/javascript")


def test_library_is_pinned_by_the_hash_of_the_npm_file(server: Server) -> None:
    need_node_module("socket.io-client")
    digest = hashlib.sha384((PROJECT / NPM_FILE).read_bytes()).digest()
    assert f"sha384-{base64.b64encode(digest).decode()}" == CLIENT_INTEGRITY
    page = get(server, "/").body
    assert f'href="{LOCAL_URL}" integrity="{CLIENT_INTEGRITY}" crossorigin="anonymous"' in page
    assert get(server, LOCAL_URL).body == (PROJECT / NPM_FILE).read_text()


@pytest.fixture
def installed_elsewhere(tmp_path: Path) -> Iterator[int]:
    """The code in a place of its own, without node_modules beside it, as when it is installed as a package."""
    shutil.copytree(PROJECT / "service", tmp_path / "service", ignore=shutil.ignore_patterns("__pycache__"))
    port = free_port()
    log = tmp_path / "server.log"
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "service", "serve"],
            cwd=tmp_path,
            env={**os.environ, "HOST": "127.0.0.1", "PORT": str(port), "METRICS_PORT": str(free_port())},
            stdout=subprocess.PIPE,
            stderr=stderr,
        )
    assert process.stdout is not None
    try:
        assert process.stdout.readline(), log.read_text()  # it listens before it says so
        yield port
    finally:
        process.terminate()
        process.communicate(timeout=15)


def test_library_comes_from_its_cdn_where_npm_has_not_installed_it(installed_elsewhere: int) -> None:
    page = get(installed_elsewhere, "/")
    assert f'href="{CDN_URL}" integrity="{CLIENT_INTEGRITY}" crossorigin="anonymous"' in page.body
    assert f"script-src 'self' {CDN_URL};" in page.headers["content-security-policy"]
    assert f"https://cdn.socket.io/{CLIENT_VERSION}/socket.io.min.js" == CDN_URL
    assert get(installed_elsewhere, LOCAL_URL).status == 404


def test_unchanged_files_are_not_sent_again(server: Server) -> None:
    first = get(server, "/demo/main.js")
    again = get(server, "/demo/main.js", if_none_match=first.headers["etag"])
    assert (again.status, again.body) == (304, "")
    assert get(server, "/demo/main.js", if_none_match='"other"').status == 200


@pytest.mark.parametrize(
    "path",
    [
        "/demo/../__init__.py",
        "/demo/..%2f__init__.py",
        "/demo/%2e%2e/__init__.py",
        "/demo/%2e%2e%2f%2e%2e%2fapp.py",
        "/demo/..%5c__init__.py",
        "/demo//etc/passwd",
        "/demo/%2fetc%2fpasswd",
        "/demo/__init__.py",
        "/demo/index.html",
        "/demo/",
        "/demo/nothing.js",
    ],
)
def test_nothing_else_is_served(server: Server, path: str) -> None:
    answer = get(server, path)
    assert answer.status == 404
    assert "import" not in answer.body
    assert "root:" not in answer.body


@pytest.mark.parametrize("path", ["/", "/demo/main.js", LOCAL_URL])
def test_page_can_be_switched_off(without_page: Server, path: str) -> None:
    assert get(without_page, path).status == 404
    assert get(without_page, "/readyz").status == 200

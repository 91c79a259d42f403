"""The demo page at `/`: two tabs, one call.

Its files are read once, when the application is made. A path that is not one of them does not exist, so that
nothing outside of `static` can be asked for.
"""

import base64
import hashlib
from pathlib import Path
from string import Template
from typing import NamedTuple

from sanic import Request, Sanic
from sanic.exceptions import NotFound
from sanic.response import HTTPResponse, empty, raw

STATIC = Path(__file__).parent / "static"
PROJECT = Path(__file__).parents[3]

CLIENT_VERSION = "4.8.4"
CLIENT_INTEGRITY = "sha384-fBrXvbDtHoeKWJ/hcA6M+YGueiDW+h45I7V6F2kD1S8bOkrF9rZYPLVkCR6BLR/1"
"""The hash of `socket.io.min.js` in that version. A browser refuses any other content, wherever it comes from."""

CDN_URL = f"https://cdn.socket.io/{CLIENT_VERSION}/socket.io.min.js"
LOCAL_URL = "/demo/socket.io.min.js"
NPM_FILE = Path("node_modules/socket.io-client/dist/socket.io.min.js")

_CONTENT_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


class _File(NamedTuple):
    content: bytes
    headers: dict[str, str]


def add_demo_page(app: Sanic) -> None:  # type: ignore[type-arg]
    """Serve the page, its modules, and the client library if npm has installed it here."""
    files = {path.name: _file(path.suffix, path.read_bytes()) for path in STATIC.iterdir() if path.suffix != ".html"}
    library = _npm_copy()
    if library is not None:
        files[LOCAL_URL.rpartition("/")[2]] = _file(".js", library)
    index = _index(CDN_URL if library is None else LOCAL_URL)

    @app.get("/", name="demo")
    async def page(request: Request) -> HTTPResponse:
        return _answer(request, index)

    @app.get("/demo/<name:str>", name="demo-files")
    async def part(request: Request, name: str) -> HTTPResponse:
        file = files.get(name)
        if file is None:
            raise NotFound("There is no such file")
        return _answer(request, file)


def _npm_copy() -> bytes | None:
    """The client library as npm has installed it; None where it has not, or where it is another version."""
    for place in (Path.cwd(), PROJECT):
        path = place / NPM_FILE
        if path.is_file():
            content = path.read_bytes()
            if _integrity(content) == CLIENT_INTEGRITY:
                return content
    return None


def _integrity(content: bytes) -> str:
    return f"sha384-{base64.b64encode(hashlib.sha384(content).digest()).decode()}"


def _index(library_url: str) -> _File:
    template = Template((STATIC / "index.html").read_text(encoding="utf-8"))
    page = template.substitute(library_url=library_url, library_integrity=CLIENT_INTEGRITY)
    file = _file(".html", page.encode())
    file.headers.update(
        {
            "content-security-policy": _policy(library_url),
            "permissions-policy": "camera=(self), microphone=(self), autoplay=(self)",
            "referrer-policy": "no-referrer",
        }
    )
    return file


def _policy(library_url: str) -> str:
    scripts = "'self'" if library_url == LOCAL_URL else f"'self' {library_url}"
    directives = {
        "default-src": "'none'",
        "script-src": scripts,
        "style-src": "'self'",
        "img-src": "'self'",
        "connect-src": "'self'",
        "media-src": "'self' blob:",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in directives.items())


def _file(suffix: str, content: bytes) -> _File:
    headers = {
        "content-type": _CONTENT_TYPES[suffix],
        "cache-control": "no-cache",  # after an update no browser may mix old modules with new ones
        "etag": f'"{hashlib.sha256(content).hexdigest()[:32]}"',
        "x-content-type-options": "nosniff",
    }
    return _File(content, headers)


def _answer(request: Request, file: _File) -> HTTPResponse:
    if file.headers["etag"] in request.headers.get("if-none-match", ""):
        return empty(304, headers={"etag": file.headers["etag"], "cache-control": "no-cache"})
    return raw(file.content, headers=file.headers, content_type=file.headers["content-type"])

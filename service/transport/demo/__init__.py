"""The demo page at `/`: two tabs, one call."""

from pathlib import Path

from sanic import Request, Sanic
from sanic.response import HTTPResponse, file

_STATIC = Path(__file__).parent / "static"
CLIENT_LIBRARY = Path("node_modules/socket.io-client/dist/socket.io.esm.min.js")
"""socket.io-client as npm installs it below the working directory; used instead of the CDN when it is there."""


def add_demo_page(app: Sanic) -> None:  # type: ignore[type-arg]
    """Serve the page, its modules, and the client library if npm has installed it here."""

    @app.get("/", name="demo")
    async def page(_request: Request) -> HTTPResponse:
        return await file(_STATIC / "index.html", headers={"cache-control": "no-cache"})

    app.static("/demo/", _STATIC, name="demo-files")
    if CLIENT_LIBRARY.is_file():
        app.static("/demo/socket.io.esm.min.js", CLIENT_LIBRARY, name="socket.io-client")

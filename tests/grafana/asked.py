"""Those whom the server asks, on a thread: an issuer who publishes a key, a backend that always says yes."""

import contextlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.adapters.jwt.tokens import issuer_key, key_set

KEY = issuer_key("ES256", "one")


class _Asked(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self._answer(key_set(KEY))

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(b'{"allowed": true}')

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *_args: object) -> None:  # noqa: A002 - http.server's name
        """Say nothing."""


@contextlib.contextmanager
def asked() -> Iterator[dict[str, str]]:
    """The settings of a server that asks them, and lets in whoever brings no token."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Asked)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield {
            "AUTH_JWKS_URL": f"{url}/jwks.json",
            "AUTH_AUDIENCE": "signalling",
            "AUTH_REQUIRED": "false",
            "AUTHORIZE_URL": f"{url}/may-call",
            "AUTHORIZE_SECRET": "a secret between the two of them of some length",
        }
    finally:
        server.shutdown()
        server.server_close()

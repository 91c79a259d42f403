"""The scrape endpoint: its own port and its own thread, so that a blocked event loop is still scraped."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from service.address import AddressError


class Exposition:
    """Serves `/metrics` (classic text, or OpenMetrics with exemplars where asked for) and `/healthz`.

    `/healthz` says that this thread lives, and nothing of the event loop: that is what
    `event_loop_last_tick_timestamp_seconds` is for.
    """

    def __init__(
        self, registry: CollectorRegistry, host: str, port: int, set_with: str = "METRICS_PORT and METRICS_HOST"
    ) -> None:
        """Listen and serve from here on.

        Raises:
            AddressError: the address is taken or not this machine's.
        """
        handler = type("Handler", (_Handler,), {"registry": registry})
        try:
            self._server = _Server((host, port), handler)
        except OSError as error:
            raise AddressError(host, port, error, set_with) from None
        self._thread = threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """The port that is listened on."""
        port: int = self._server.server_address[1]
        return port

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True


class _Handler(BaseHTTPRequestHandler):
    registry: CollectorRegistry
    timeout = 10  # seconds that a client may take over its request
    protocol_version = "HTTP/1.1"
    server_version = "signalling"
    sys_version = ""

    def do_GET(self) -> None:
        """Answer a request."""
        path = self.path.partition("?")[0]
        if path == "/metrics":
            encode, content_type = choose_encoder(self.headers.get("Accept") or "")
            self._answer(200, content_type, encode(self.registry))
        elif path == "/healthz":
            self._answer(200, "text/plain; charset=utf-8", b"ok\n")
        else:
            self._answer(404, "text/plain; charset=utf-8", b"there is /metrics and /healthz\n")

    def log_message(self, format: str, *_args: object) -> None:  # noqa: A002 - http.server's name
        """Write nothing: scrapes are no news."""

    def _answer(self, status: int, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

"""Where Alertmanager tells people: an HTTP server that keeps what it is told."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

_EVERYWHERE = {"alertname", "environment", "instance", "job", "severity"}


class Notice(NamedTuple):
    """One alert of a notification."""

    receiver: str
    status: str
    labels: dict[str, str]
    annotations: dict[str, str]

    @property
    def name(self) -> str:
        """The alert's name, and the labels that tell it from others of this name."""
        details = sorted(f"{key}={value}" for key, value in self.labels.items() if key not in _EVERYWHERE)
        return " ".join([self.labels["alertname"], *details])


class Webhook:
    """Listens on a free port of the loopback interface; the path is the receiver's name."""

    def __init__(self) -> None:
        self._notices: list[Notice] = []
        self._lock = threading.Lock()
        webhook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                webhook.take(self.path.strip("/"), self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *_args: object) -> None:  # noqa: A002 - http.server's name
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def url(self, receiver: str) -> str:
        """Where a receiver is told."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/{receiver}"

    def take(self, receiver: str, body: bytes) -> None:
        """A notification has come."""
        alerts = json.loads(body)["alerts"]
        notices = [Notice(receiver, each["status"], each["labels"], each["annotations"]) for each in alerts]
        with self._lock:
            self._notices += notices

    def told(self, environment: str) -> list[Notice]:
        """All that was told of an installation."""
        with self._lock:
            return [notice for notice in self._notices if notice.labels["environment"] == environment]

    def last(self, environment: str) -> dict[str, str]:
        """The last that was told of each alert of an installation: firing or resolved."""
        return {notice.name: notice.status for notice in self.told(environment) if notice.receiver != "watchdog"}

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()

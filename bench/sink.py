"""A collector of traces that takes everything and keeps nothing: `python -m bench.sink`, on `PORT` of `HOST`."""

import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Sink(BaseHTTPRequestHandler):
    """OTLP over HTTP, as far as the sender can tell."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Read the spans and say thank you."""
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the library's name
        """Say nothing."""


def main() -> None:
    """Serve until the process is ended."""
    ThreadingHTTPServer((os.environ["HOST"], int(os.environ["PORT"])), Sink).serve_forever()


if __name__ == "__main__":
    main()

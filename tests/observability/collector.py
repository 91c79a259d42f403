"""A collector of OTLP over HTTP that keeps what it is sent."""

import gzip
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span


class Collector:
    """Listens on a free port of the loopback interface."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.resource: dict[str, str] = {}
        self.origins: dict[bytes, str] = {}
        """The node that each span came from, by the id of the span."""
        self._arrived = threading.Condition()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                collector.take(self.path, body)
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *_args: object) -> None:  # noqa: A002 - http.server's name
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        """What `OTEL_EXPORTER_OTLP_ENDPOINT` is set to."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def take(self, path: str, body: bytes) -> None:
        """A request has come."""
        assert path == "/v1/traces"
        request = ExportTraceServiceRequest.FromString(body)
        with self._arrived:
            for of_resource in request.resource_spans:
                self.resource = {pair.key: pair.value.string_value for pair in of_resource.resource.attributes}
                for of_scope in of_resource.scope_spans:
                    self.spans += of_scope.spans
                    node = self.resource["service.instance.id"]
                    self.origins |= {span.span_id: node for span in of_scope.spans}
            self._arrived.notify_all()

    def wait_for(self, name: str, timeout_s: float = 30.0) -> list[Span]:
        """The spans so far, once there is one of this name."""
        with self._arrived:
            came = self._arrived.wait_for(lambda: any(span.name == name for span in self.spans), timeout_s)
            assert came, f"no span {name} among {sorted(span.name for span in self.spans)}"
            return list(self.spans)

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()

"""The Sanic application: Socket.IO, health, and the demo page."""

import itertools
import logging
from typing import NamedTuple

from sanic import Request, Sanic
from sanic.handlers import ErrorHandler
from sanic.response import HTTPResponse, json

from service.supervisor import Supervisor
from service.transport.demo import add_demo_page
from service.transport.gateway import Gateway
from service.transport.socketio import SocketServer

_log = logging.getLogger(__name__)
_numbers = itertools.count()
_LOOK = ("GET", "HEAD")  # load balancers ask with either


class TransportOptions(NamedTuple):
    """What the transport needs to be told; see `service.config.Settings` for each."""

    client_urls: tuple[str, ...]
    ping_interval_s: float
    ping_timeout_s: float
    max_message_bytes: int
    demo_page: bool


class Errors(ErrorHandler):
    """Sanic's answers to failed HTTP requests, without their query strings in the log.

    The Engine.IO sid in them is the key to a client's connection.
    """

    @staticmethod
    def log(request: Request, exception: Exception) -> None:
        """Write one line for a failure of ours, none for a client's mistake or for one that has gone meanwhile."""
        gone = request.transport.is_closing()
        if not gone and not getattr(exception, "quiet", False):
            _log.error("%s %s failed", request.method, request.path, exc_info=exception)


class Health:
    """Whether this node should get new clients. Live from its start, ready from `ready = True` on."""

    __slots__ = ("draining", "ready")

    def __init__(self) -> None:
        self.ready = False
        self.draining = False


def create_app(gateway: Gateway, supervisor: Supervisor, health: Health, options: TransportOptions) -> Sanic:  # type: ignore[type-arg]
    """The application, complete but not listening. Every call makes a new one."""
    app = Sanic(f"signalling-{next(_numbers)}", configure_logging=False, error_handler=Errors())
    app.config.FALLBACK_ERROR_FORMAT = "json"
    app.config.WEBSOCKET_MAX_SIZE = options.max_message_bytes
    app.config.WEBSOCKET_PING_INTERVAL = 0  # Engine.IO has heartbeats of its own
    app.config.REQUEST_MAX_SIZE = options.max_message_bytes
    server = SocketServer(
        gateway,
        supervisor,
        cors_allowed_origins="*" if "*" in options.client_urls else list(options.client_urls),
        cors_credentials=True,
        ping_interval=options.ping_interval_s,
        ping_timeout=options.ping_timeout_s,
        max_http_buffer_size=options.max_message_bytes,
    )
    server.attach(app)
    app.ctx.socket_server = server
    _add_health(app, health)
    if options.demo_page:
        add_demo_page(app)
    return app


def _add_health(app: Sanic, health: Health) -> None:  # type: ignore[type-arg]
    @app.route("/livez", methods=_LOOK, name="livez")
    async def livez(_request: Request) -> HTTPResponse:
        """The process answers. Restart it when this fails."""
        return json({"status": "live"})

    @app.route("/readyz", methods=_LOOK, name="readyz")
    async def readyz(_request: Request) -> HTTPResponse:
        """New clients are welcome. Take the node out of rotation when this fails."""
        if health.ready:
            return json({"status": "ready"})
        return json({"status": "stopping"}, status=503)

"""The Sanic application: Socket.IO, health, and the demo page."""

import itertools
import logging
import math
from typing import NamedTuple

from sanic import Request, Sanic
from sanic.handlers import ErrorHandler
from sanic.response import HTTPResponse, json

from service.supervisor import Supervisor
from service.transport.admission import Admission, AdmissionLimits
from service.transport.demo import add_demo_page
from service.transport.engine.connection import EngineOptions
from service.transport.engine.http import BODY_TIMEOUT_S, EngineRoutes
from service.transport.engine.server import EngineServer
from service.transport.gateway import Gateway
from service.transport.origins import Origins
from service.transport.socketio import SocketServer

_log = logging.getLogger(__name__)
_numbers = itertools.count()
_LOOK = ("GET", "HEAD")  # load balancers ask with either


class TransportOptions(NamedTuple):
    """What the transport needs to be told; see `service.config.Settings` for each."""

    client_urls: tuple[str, ...]
    engine: EngineOptions
    admission: AdmissionLimits
    trusted_proxies: int
    join_timeout_s: float
    demo_page: bool


IDLE_TIMEOUT_S = 15
"""How long an HTTP connection may send nothing, or only part of its headers."""


class Transport(NamedTuple):
    """What clients are connected to."""

    app: Sanic  # type: ignore[type-arg]
    engine: EngineServer
    routes: EngineRoutes


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


def create_app(gateway: Gateway, supervisor: Supervisor, health: Health, options: TransportOptions) -> Transport:
    """The application, complete but not listening. Every call makes a new one."""
    app = bare_app(options.engine)
    engine = EngineServer(options.engine)
    SocketServer(engine, gateway, supervisor, join_timeout_s=options.join_timeout_s)
    routes = EngineRoutes(engine, Origins(options.client_urls), Admission(options.admission), options.trusted_proxies)
    routes.add_to(app, "/socket.io/")
    _add_health(app, health)
    if options.demo_page:
        add_demo_page(app)
    return Transport(app, engine, routes)


def bare_app(options: EngineOptions) -> Sanic:  # type: ignore[type-arg]
    """A Sanic application with the timeouts and limits that an engine asks for, and no routes."""
    app = Sanic(f"signalling-{next(_numbers)}", configure_logging=False, error_handler=Errors())
    app.config.FALLBACK_ERROR_FORMAT = "json"
    app.config.REQUEST_MAX_SIZE = options.max_message_bytes
    app.config.REQUEST_TIMEOUT = app.config.KEEP_ALIVE_TIMEOUT = IDLE_TIMEOUT_S
    held_s = sum(options.heartbeat) + BODY_TIMEOUT_S  # a poll is held until the next ping
    app.config.RESPONSE_TIMEOUT = math.ceil(held_s)
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
        return json({"status": "draining" if health.draining else "not ready"}, status=503)

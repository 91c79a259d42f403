"""The admin API: what those who run the service can ask of this node, and make it do.

It has a listener of its own beside that of the metrics, away from the public one, and runs on the same event loop,
since it needs call control. Whoever knows no token learns nothing, not even what there is.
"""

import hmac
import itertools
import logging
import re
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from sanic import Request, Sanic
from sanic.exceptions import MethodNotAllowed, NotFound, SanicException
from sanic.handlers import ErrorHandler
from sanic.response import HTTPResponse, raw
from sanic.server.async_server import AsyncioServer

from service import __version__
from service.control.control import CallControl
from service.domain.call import Call
from service.domain.effects import Role
from service.domain.ids import CallId, UserId
from service.ports import Clock, Directory, OutOfReachError
from service.protocol import admin
from service.protocol.admin import AdminError, Explanation, Failure, LiveCall, LiveCalls, NodeStatus, Operation
from service.transport.app import Health
from service.transport.drain import Drain
from service.transport.gateway import Gateway
from service.transport.ladder import ladder

ADMIN_IDLE_S = 15
"""How long a connection may send nothing, or only part of a request."""

_ANSWER_S = 30
_MAX_REQUEST_BYTES = 16_384
_DEFAULT_LISTED = 100
_HEADERS = {"cache-control": "no-store"}
_numbers = itertools.count()
_log = logging.getLogger(__name__)

Explain = Callable[[CallId], Explanation | None]
Answer = msgspec.Struct | str
Handler = Callable[..., Awaitable[Answer]]


class FailedError(Exception):
    """The request cannot be served; `failure` says why."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.code)
        self.failure = failure


class Admin:
    """Answers the operations of `service.protocol.admin`, each by the method of its name.

    `node` is what this node is called among others and `can_reach_others` whether it reaches them; both None where
    there are none.
    """

    def __init__(
        self,
        *,
        token: str,
        node: str | None,
        control: CallControl,
        directory: Directory,
        gateway: Gateway,
        health: Health,
        drain: Drain,
        clock: Clock,
        can_reach_others: Callable[[], bool] | None,
        explain: Explain,
    ) -> None:
        self._authorization = f"Bearer {token}".encode()
        self._node = node
        self._control = control
        self._directory = directory
        self._gateway = gateway
        self._health = health
        self._drain = drain
        self._clock = clock
        self._can_reach_others = can_reach_others
        self._explain = explain
        self._started_at_s = clock.now()
        self.handlers: dict[str, Handler] = {
            "status": self.status,
            "calls": self.calls,
            "explain": self.explain,
            "end_call": self.end_call,
            "evict": self.evict,
            "drain": self.drain,
        }

    def knows(self, request: Request) -> bool:
        """Whether a request has the token."""
        given = request.headers.getone("authorization", "").encode(errors="replace")
        return hmac.compare_digest(given, self._authorization)

    async def status(self, _request: Request) -> Answer:
        """How this node is."""
        return NodeStatus(
            version=__version__,
            node=self._node,
            ready=self._health.ready,
            draining=self._health.draining,
            redis_reachable=None if self._can_reach_others is None else self._can_reach_others(),
            uptime_s=round(self._clock.now() - self._started_at_s, 3),
            connections=len(self._gateway),
            users=self._directory.users_online(),
            calls=len(await self._directory.live_calls()),
        )

    async def calls(self, request: Request) -> Answer:
        """The live calls of this node."""
        limit = request.args.get("limit", str(_DEFAULT_LISTED))
        if not (re.fullmatch("[0-9]{1,4}", limit) and 1 <= int(limit) <= admin.MAX_LISTED):
            raise FailedError(admin.BAD_QUERY)
        calls = sorted(await self._directory.live_calls(), key=lambda call: call.placed_at_s)
        return LiveCalls(len(calls), tuple(self._shown(call) for call in calls[: int(limit)]))

    async def explain(self, request: Request, call_id: str) -> Answer:
        """What this node saw of a call, as an object or as text."""
        asked = request.args.get("format") or _accepted(request)
        if asked not in ("json", "text"):
            raise FailedError(admin.BAD_QUERY)
        explanation = self._explain(CallId(call_id))
        if explanation is None:
            raise FailedError(admin.CALL_UNSEEN)
        return ladder(explanation) if asked == "text" else explanation

    async def end_call(self, _request: Request, call_id: str) -> Answer:
        """End a live call."""
        if not await self._control.end(CallId(call_id)):
            raise FailedError(admin.CALL_UNKNOWN)
        return admin.CallOver(call_id)

    async def evict(self, _request: Request, user: str) -> Answer:
        """Close all connections of a user. Never says whether the user exists."""
        return admin.Evicted(await self._control.evict(UserId(user)))

    async def drain(self, _request: Request) -> Answer:
        """Begin what SIGTERM begins."""
        self._drain.begin()
        return admin.Draining(draining=True)

    def _shown(self, call: Call) -> LiveCall:
        now_s = self._clock.now()
        return LiveCall(
            call_id=call.id,
            state=call.state.value,
            media=call.media.value,
            age_s=round(max(0.0, now_s - call.placed_at_s), 3),
            connected_for_s=None if call.connected_at_s is None else round(max(0.0, now_s - call.connected_at_s), 3),
            roles_here=tuple(
                role.value for role in Role if any(session in self._gateway for session in call.party(role).sessions)
            ),
            roles_away=tuple(role.value for role in Role if call.party(role).away_until_s is not None),
        )


def _accepted(request: Request) -> str:
    """What a client that names no format wants."""
    accepted = request.headers.getone("accept", "")
    return "text" if "text/plain" in accepted and "json" not in accepted else "json"


class _Errors(ErrorHandler):
    """Answers what goes wrong in the form of the API, and logs what is our fault, without the path.

    The path may hold a user id.
    """

    def __init__(self, parts: Admin) -> None:
        super().__init__()
        self._parts = parts

    def default(self, request: Request, exception: Exception) -> HTTPResponse:
        """See `ErrorHandler.default`."""
        if not self._parts.knows(request):
            return _failed(admin.UNAUTHORIZED, {"www-authenticate": "Bearer"})
        failure = _failure_of(exception)
        if failure is admin.FAILED:
            _log.error("a request to the admin API failed: %s", type(exception).__name__, exc_info=exception)
        return _failed(failure)

    @staticmethod
    def log(request: Request, exception: Exception) -> None:
        """Write nothing here: `default` does."""


def _failure_of(exception: Exception) -> Failure:
    match exception:
        case FailedError():
            return exception.failure
        case OutOfReachError():
            return admin.OUT_OF_REACH
        case NotFound():
            return admin.NO_SUCH_PATH
        case MethodNotAllowed():
            return admin.WRONG_METHOD
        case SanicException() if exception.status_code < admin.FAILED.status:
            return admin.UNREADABLE._replace(status=exception.status_code)
    return admin.FAILED


def admin_app(parts: Admin) -> Sanic:  # type: ignore[type-arg]
    """The application that serves the operations, complete but not listening. Every call makes a new one."""
    name = f"signalling-admin-{next(_numbers)}"
    app = Sanic(name, configure_logging=False, error_handler=_Errors(parts))
    app.config.REQUEST_MAX_SIZE = _MAX_REQUEST_BYTES
    app.config.REQUEST_TIMEOUT = app.config.KEEP_ALIVE_TIMEOUT = ADMIN_IDLE_S
    app.config.RESPONSE_TIMEOUT = _ANSWER_S
    app.config.TOUCHUP = (
        False  # rewrites Sanic's own classes, which can be done once, and is for the public application
    )
    for operation in admin.OPERATIONS:
        _add(app, operation, parts)
    return app


def _add(app: Sanic, operation: Operation, parts: Admin) -> None:  # type: ignore[type-arg]
    handle = parts.handlers[operation.name]

    async def answer(request: Request, **parameters: Any) -> HTTPResponse:  # noqa: ANN401 - Sanic's form
        """Let in who knows the token."""
        if not parts.knows(request):
            raise FailedError(admin.UNAUTHORIZED)
        return _written(await handle(request, **parameters))

    path = admin.PREFIX + operation.path.replace("{", "<").replace("}", ":str>")
    app.add_route(answer, path, methods=[operation.method], name=operation.name, unquote=True)


def _written(answer: Answer, status: int = 200, headers: dict[str, str] | None = None) -> HTTPResponse:
    if isinstance(answer, str):
        return raw(answer.encode(), status, {**_HEADERS}, "text/plain; charset=utf-8")
    return raw(msgspec.json.encode(answer), status, {**_HEADERS, **(headers or {})}, "application/json")


def _failed(failure: Failure, headers: dict[str, str] | None = None) -> HTTPResponse:
    return _written(AdminError(failure.code, failure.message), failure.status, headers)


class AdminServer:
    """The admin API while it is served."""

    def __init__(self, server: AsyncioServer) -> None:
        self._server = server

    def close(self) -> None:
        """Stop at once, whatever is under way."""
        self._server.close()  # type: ignore[no-untyped-call] # Sanic
        for connection in tuple(self._server.connections):
            connection.abort()


async def serve_admin(parts: Admin, listener: socket.socket) -> AdminServer:
    """Serve the admin API on this event loop from here on."""
    app = admin_app(parts)
    server = await app.create_server(sock=listener, return_asyncio_server=True, access_log=False)
    if server is None:
        raise RuntimeError("Sanic made no server")
    await server.startup()  # type: ignore[no-untyped-call] # Sanic
    await server.start_serving()  # type: ignore[no-untyped-call] # Sanic
    return AdminServer(server)

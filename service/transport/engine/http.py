"""The routes of an Engine.IO server on Sanic: handshakes, polling, upgrades. Section "HTTP long-polling"."""

import asyncio
import time
from urllib.parse import parse_qsl

from sanic import HTTPResponse, Request, Sanic
from sanic.response import json

from service.transport.addresses import client_address
from service.transport.admission import Admission, Turned
from service.transport.engine.connection import Connection
from service.transport.engine.packets import ProtocolError, split_payload
from service.transport.engine.server import EngineServer
from service.transport.engine.websocket import hand_over, is_handshake
from service.transport.link import CloseReason
from service.transport.origins import Origins

BODY_TIMEOUT_S = 10.0
"""How long a client has for the body of a POST."""

PAYLOAD_TYPE = "text/plain; charset=UTF-8"
_ALL_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
_VERSION = "Unsupported protocol version: Engine.IO 4 is spoken here (socket.io-client 3 or newer), and not version 3"


class RequestRefusedError(Exception):
    """A request that the protocol does not have. Answered as Node's engine does: `{code, message}`."""

    def __init__(self, code: int, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status


class EngineRoutes:
    """What the routes of one engine need."""

    def __init__(self, engine: EngineServer, origins: Origins, admission: Admission, trusted_proxies: int) -> None:
        self._engine = engine
        self._origins = origins
        self._admission = admission
        self._trusted_proxies = trusted_proxies
        self.closing = False
        """Whether the node is stopping: those who are here are still served, nobody else is."""
        engine.on_forgotten = lambda connection: admission.closed(connection.address)

    def add_to(self, app: Sanic, path: str) -> None:  # type: ignore[type-arg]
        """Serve the engine at a path."""

        async def handler(request: Request) -> HTTPResponse | None:
            return await self.handle(request)

        handler.is_websocket = True  # type: ignore[attr-defined] # Sanic: it may return nothing
        app.add_route(handler, path, methods=_ALL_METHODS, stream=True, name=path.strip("/").replace(".", "-"))

    async def handle(self, request: Request) -> HTTPResponse | None:
        """Answer a request; None when a websocket has taken over its connection."""
        origins = request.headers.getall("origin", [])
        origin = "several" if len(origins) > 1 else next(iter(origins), None)
        try:
            answer = await self._answer(request, origin)
        except RequestRefusedError as refusal:
            request.stream.request_max_size = 0  # type: ignore[union-attr] # a body is not waited for
            answer = json({"code": refusal.code, "message": refusal.message}, status=refusal.status)
        if answer is not None:
            answer.headers.update(self._origins.headers(origin))
            answer.headers["cache-control"] = "no-store"
        return answer

    async def _answer(self, request: Request, origin: str | None) -> HTTPResponse | None:
        if not self._origins.welcomes(origin):
            raise RequestRefusedError(4, "Forbidden: this origin is not allowed (CLIENT_URL)", 403)
        if request.method == "OPTIONS":
            return HTTPResponse(status=204, headers=self._origins.preflight(origin, request.headers))
        query = dict(parse_qsl(request.query_string))
        transport = query.get("transport")
        if transport not in ("polling", "websocket"):
            raise RequestRefusedError(0, "Transport unknown: it is polling or websocket")
        if query.get("EIO") != "4":
            raise RequestRefusedError(5, _VERSION)
        if transport == "websocket" and not is_handshake(request):
            raise RequestRefusedError(3, "Bad request: a websocket handshake is expected")
        sid = query.get("sid")
        if sid is None:
            return self._open(request, transport)
        connection = self._engine.get(sid)
        if connection is None:
            raise RequestRefusedError(1, "Session ID unknown")
        if transport == "websocket":
            hand_over(request, connection.begin_upgrade(), self._engine.options.max_message_bytes)
            return None
        return await self._poll_or_post(request, connection)

    def _open(self, request: Request, transport: str) -> HTTPResponse | None:
        if request.method != "GET":
            raise RequestRefusedError(2, "Bad handshake method: a session begins with GET")
        if self.closing:
            return _turned(Turned(503, "stopping", "The server is stopping", 1))
        address = client_address(request, self._trusted_proxies)
        turned = self._admission.judge(address, time.monotonic())
        if turned is not None:
            self._engine.handler.turned_away(transport, turned.code)
            return _turned(turned)
        self._admission.opened(address)
        connection = self._engine.new_connection(address)
        if transport == "polling":
            return _payload(connection.begin_on_polling())
        hand_over(request, connection.begin_on_websocket(), self._engine.options.max_message_bytes)
        return None

    async def _poll_or_post(self, request: Request, connection: Connection) -> HTTPResponse:
        if not connection.is_polling():
            raise RequestRefusedError(3, "Bad request: the session is closed, or on a websocket")
        try:
            if request.method == "GET":
                return _payload(await connection.polled())
            if request.method == "POST":
                return await self._post(request, connection)
        except ProtocolError as error:
            raise RequestRefusedError(3, f"Bad request: {error.rule}") from None
        raise RequestRefusedError(3, "Bad request: a session has GET and POST")

    async def _post(self, request: Request, connection: Connection) -> HTTPResponse:
        limit = self._engine.options.max_message_bytes
        if connection.is_posting:
            connection.close(CloseReason.PROTOCOL_ERROR, "one POST at a time")
            raise RequestRefusedError(3, "Bad request: one POST at a time")
        connection.is_posting = True
        try:
            body = await _body(request, limit)
        except RequestRefusedError as refusal:
            connection.close(CloseReason.PROTOCOL_ERROR, refusal.message)
            raise
        finally:
            connection.is_posting = False
        try:
            packets = split_payload(body, self._engine.options.max_packets_per_payload)
        except ProtocolError as error:
            connection.close(CloseReason.PROTOCOL_ERROR, error.rule)
            raise
        connection.posted(packets)
        return HTTPResponse(b"ok", content_type=PAYLOAD_TYPE)


async def _body(request: Request, limit_bytes: int) -> bytes:
    """The body of a request, refused from its headers where they say that it is too large.

    Raises:
        RequestRefusedError: too large, or not here in time.
    """
    too_large = RequestRefusedError(3, f"The payload is larger than {limit_bytes} bytes (maxPayload)", 413)
    declared = request.headers.getone("content-length", "0")
    if int(declared) > limit_bytes:
        raise too_large
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            while True:
                chunk = await request.stream.read()  # type: ignore[union-attr]
                if chunk is None:
                    return bytes(body)
                body += chunk
                if len(body) > limit_bytes:
                    raise too_large
    except TimeoutError:
        raise RequestRefusedError(3, f"The body was not sent within {BODY_TIMEOUT_S:g} s", 408) from None


def _payload(payload: bytes) -> HTTPResponse:
    return HTTPResponse(payload, content_type=PAYLOAD_TYPE)


def _turned(turned: Turned) -> HTTPResponse:
    after = {"retry-after": str(turned.retry_after_s)}
    return json({"code": turned.code, "message": turned.message}, status=turned.status, headers=after)

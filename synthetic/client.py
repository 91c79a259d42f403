"""One user's Socket.IO connection, as a script uses it: requests that are acknowledged, events that are expected.

python-socketio and aiohttp have their only door here. What goes wrong comes out as a `SyntheticError`, whose text
holds no user, call or session id.
"""

import asyncio
import contextlib
import errno
import logging
import os
import re
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import aiohttp
import socketio
from engineio.payload import Payload

ENDINGS = ("call:ended", "call:rejected")
"""The events after which a call is over."""

INBOX_LIMIT = 256
"""Events that wait to be expected. A call brings about 20; older ones are dropped."""

DISCONNECT = "1"
"""The Socket.IO packet that says goodbye to the namespace `/`."""

MAX_TRIES = 3
CLOSE_TIMEOUT_S = 2.0
MAX_PACKETS_PER_POLL = 256
"""python-engineio accepts 16 packets in an answer and drops the connection on more; trickled candidates exceed that."""

_AIOHTTP_FAILURE = re.compile(r"^Cannot connect to host .*\[(.*)\]$")

_silent = logging.getLogger(f"{__name__}.engine")
_silent.setLevel(logging.CRITICAL)  # the engine's lines carry session ids, which are keys to connections

Payload.max_decode_packets = MAX_PACKETS_PER_POLL


class SyntheticError(Exception):
    """A step of a script did not go as it should. The text is for people."""


class CannotConnectError(SyntheticError):
    """No connection came about."""


class RefusedError(SyntheticError):
    """The server refused an event, with this `code`."""

    def __init__(self, event: str, code: str) -> None:
        super().__init__(f"the server refused {event} ({code})")
        self.code = code


class MissingError(SyntheticError):
    """What should have come did not come in time."""


class GoneError(SyntheticError):
    """The connection is lost."""

    def __init__(self) -> None:
        super().__init__("the connection is lost")


class CallOverError(SyntheticError):
    """The call ended before its time, with this `code`."""

    def __init__(self, code: str) -> None:
        super().__init__(f"the call ended early ({code})")
        self.code = code


class Message(NamedTuple):
    """An event from the server."""

    event: str
    data: dict[str, Any]


class Client:
    """A user and the connection that speaks for him; it may be opened again and again.

    `call_id` is the live call that the server has told of. `on_error` gets the code of every `error` event,
    `on_gone` hears of a connection that was lost and not closed from here.
    """

    def __init__(
        self,
        url: str,
        user: str,
        transports: tuple[str, ...],
        *,
        on_error: Callable[[str], None] | None = None,
        on_gone: "Callable[[Client], None] | None" = None,
    ) -> None:
        self.user = user
        self.transports = transports
        self.call_id: str | None = None
        self._url = url
        self._on_error = on_error
        self._on_gone = on_gone
        self._socket: Any = None  # python-socketio has no types
        self._http: aiohttp.ClientSession | None = None
        self._inbox: deque[Message] = deque(maxlen=INBOX_LIMIT)
        self._news = asyncio.Event()
        self._acks: set[asyncio.Future[Any]] = set()

    @property
    def connected(self) -> bool:
        """Whether the connection stands, as far as is known."""
        return self._socket is not None

    @property
    def is_noticed_at_once(self) -> bool:
        """Whether the server sees the loss of this connection when it happens, and not only by the silence."""
        return self.transports[-1] == "websocket"

    # --- the connection -----------------------------------------------------------------------------------

    async def connect(self, timeout_s: float) -> None:
        """Open the connection.

        Raises:
            CannotConnectError: it failed, or took longer than `timeout_s`.
        """
        await self.cut()
        http = aiohttp.ClientSession()
        socket = socketio.AsyncClient(
            reconnection=False,
            handle_sigint=False,
            logger=_silent,
            engineio_logger=_silent,
            http_session=http,
            request_timeout=timeout_s,
        )
        socket.on("*", partial(self._received, socket))
        socket.on("disconnect", partial(self._lost, socket))
        self._socket, self._http = socket, http
        try:
            async with asyncio.timeout(timeout_s):
                await socket.connect(self._url, transports=list(self.transports), wait_timeout=timeout_s)
        except TimeoutError:
            await self.cut()
            raise CannotConnectError(f"cannot connect: no answer within {timeout_s:g} s") from None
        except (socketio.exceptions.ConnectionError, aiohttp.ClientError, OSError, ValueError) as error:
            await self.cut()
            raise CannotConnectError(f"cannot connect: {_reason(error)}") from None
        except asyncio.CancelledError:
            await self.cut()
            raise
        if self._socket is not socket:
            raise CannotConnectError("cannot connect: the server closed the connection")

    async def join(self, timeout_s: float) -> None:
        """Speak for the user. A call that an earlier connection left behind is ended.

        Raises:
            SyntheticError: as for `request`.
        """
        ack = await self.request("user:join", {"userId": self.user}, timeout_s)
        left_behind = ack.get("call")
        self.call_id = left_behind["callId"] if left_behind else None
        await self.hang_up(timeout_s)

    async def hang_up(self, timeout_s: float) -> None:
        """End the live call, if there is one. Harmless where it has ended meanwhile."""
        call_id, self.call_id = self.call_id, None
        if call_id is not None:
            with contextlib.suppress(RefusedError):
                await self.request("call:end", {"callId": call_id}, timeout_s)

    async def say_goodbye(self) -> None:
        """Close the connection in the proper way, in bounded time."""
        socket = self._socket
        if socket is not None:
            self._forget()
            with contextlib.suppress(TimeoutError, aiohttp.ClientError, OSError):
                async with asyncio.timeout(CLOSE_TIMEOUT_S):
                    await socket.eio.send(DISCONNECT)
                    await socket.eio.queue.join()  # `disconnect` alone closes a websocket before its packet is out
                    await socket.disconnect()
        await self.cut()

    async def cut(self) -> None:
        """Drop the connection without a word, as a network does that fails."""
        self._forget()
        http, self._http = self._http, None
        if http is not None:
            await http.close()

    # --- events -------------------------------------------------------------------------------------------

    async def send(self, event: str, payload: dict[str, Any]) -> None:
        """Send an event and wait for nothing.

        Raises:
            GoneError: there is no connection.
        """
        await self._emit(event, payload, None)

    async def request(self, event: str, payload: dict[str, Any], timeout_s: float) -> dict[str, Any]:
        """Send an event and return its acknowledgement; try again where the server says when.

        Raises:
            RefusedError: the server refused it.
            MissingError: no acknowledgement came within `timeout_s`.
            GoneError: the connection is lost; whether the event was dealt with is unknown.
        """
        for attempt in range(1, MAX_TRIES + 1):
            ack = await self._acknowledged(event, payload, timeout_s)
            if ack.get("ok") is True:
                return ack
            error = ack.get("error") or {}
            wait_ms = error.get("retryAfterMs")
            if wait_ms is None or attempt == MAX_TRIES:
                raise RefusedError(event, error.get("code", "no code"))
            await asyncio.sleep(wait_ms / 1000)
        raise AssertionError

    async def expect(self, *events: str, timeout_s: float) -> Message:
        """Wait for one of these events. Others before it are dropped.

        Raises:
            MissingError: none came within `timeout_s`.
            CallOverError: the call ended, and that was not among `events`.
            GoneError: the connection is lost.
        """
        try:
            async with asyncio.timeout(timeout_s):
                return await self._next(events)
        except TimeoutError:
            raise MissingError(f"no {' or '.join(events)} within {timeout_s:g} s") from None

    async def stay(self, seconds: float) -> None:
        """Let time pass in the call.

        Raises:
            CallOverError, GoneError: as for `expect`.
        """
        with contextlib.suppress(MissingError):
            await self.expect(timeout_s=seconds)

    def start_afresh(self) -> None:
        """Forget events that nobody has expected, before a new call."""
        self._inbox.clear()

    async def _next(self, events: tuple[str, ...]) -> Message:
        while True:
            while self._inbox:
                message = self._inbox.popleft()
                if message.event in events:
                    return message
                if message.event in ENDINGS:
                    raise CallOverError(str(message.data.get("code", "no code")))
            if not self.connected:
                raise GoneError
            self._news.clear()
            await self._news.wait()

    async def _acknowledged(self, event: str, payload: dict[str, Any], timeout_s: float) -> dict[str, Any]:
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        def acknowledge(*values: object) -> None:
            if not answer.done():
                answer.set_result(values[0] if values else None)

        self._acks.add(answer)
        try:
            async with asyncio.timeout(timeout_s):
                await self._emit(event, payload, acknowledge)
                ack = await answer
        except TimeoutError:
            raise MissingError(f"no acknowledgement of {event} within {timeout_s:g} s") from None
        finally:
            self._acks.discard(answer)
        return ack if isinstance(ack, dict) else {}

    async def _emit(self, event: str, payload: dict[str, Any], callback: Callable[..., None] | None) -> None:
        if self._socket is None:
            raise GoneError
        try:
            await self._socket.emit(event, payload, callback=callback)
        except socketio.exceptions.SocketIOError:
            raise GoneError from None

    # --- what python-socketio calls -----------------------------------------------------------------------

    def _received(self, socket: object, event: str, data: object = None, *_more: object) -> None:
        if socket is not self._socket or not isinstance(data, dict):
            return
        if event == "error":
            if self._on_error is not None:
                self._on_error(str(data.get("code", "no code")))
            return
        self._follow_call(event, data.get("callId"))
        self._inbox.append(Message(event, data))
        self._news.set()

    def _follow_call(self, event: str, call_id: str | None) -> None:
        if event in ("call:incoming", "call:initiated"):
            self.call_id = call_id
        elif event in ENDINGS and call_id == self.call_id:
            self.call_id = None

    def _lost(self, socket: object, _reason: object = None) -> None:
        if socket is not self._socket:
            return
        self._forget()
        if self._on_gone is not None:
            self._on_gone(self)

    def _forget(self) -> None:
        self._socket = None
        self.call_id = None
        for answer in self._acks:
            if not answer.done():
                answer.set_exception(GoneError())
        self._news.set()


def _reason(error: BaseException) -> str:
    """What the person at the terminal needs to know of a failed connection."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno:
            # Codes of the resolver are negative or of another table; only their text says what they mean.
            return (os.strerror(cause.errno) if cause.errno in errno.errorcode else str(cause.strerror)).lower()
        cause = cause.__cause__ or cause.__context__
    found = _AIOHTTP_FAILURE.search(str(error))  # all that is left of a failure on polling
    return found[1].partition(" (")[0].lower() if found else str(error) or type(error).__name__

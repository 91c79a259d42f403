"""One Engine.IO connection: a session on polling or on a websocket."""

import asyncio
import math
import time
from collections import deque
from typing import Any, NamedTuple, Protocol

from service.transport.engine.codes import CloseCode
from service.transport.engine.packets import (
    BINARY_MARK,
    CLOSE,
    MAX_PACKETS_PER_ANSWER,
    NOOP,
    PING,
    PROBE_ANSWER,
    ProtocolError,
    binary_from_payload,
    binary_in_payload,
    join_payload,
)
from service.transport.engine.session import Due, Heartbeat, Probe, Received, Session, open_packet
from service.transport.engine.websocket import Cork, WebSocket
from service.transport.engine.wheel import Wheel
from service.transport.link import CloseReason

UPGRADE_POLL_S = 0.1
"""How long a poll is held while its client upgrades."""

LINGER_S = 2.0
"""How long a closed connection on polling waits for its client to fetch its last packets."""

_UNREAD = "what is sent is read"
_MESSAGES = (b"4", b"b")
_LINGERING = frozenset(
    {
        CloseReason.DISMISSED,
        CloseReason.SHUTDOWN,
        CloseReason.SLOW_CONSUMER,
        CloseReason.TOKEN_EXPIRED,
        CloseReason.FLOODING,
    }
)
_WITHOUT_CLOSE = (CloseReason.GOODBYE, CloseReason.SHUTDOWN)
"""Ends of polling without a CLOSE packet, after which python-socketio would not connect again: the next poll fails."""

_CODES = {
    CloseReason.PROTOCOL_ERROR: CloseCode.PROTOCOL_ERROR,
    CloseReason.PING_TIMEOUT: CloseCode.PING_TIMEOUT,
    CloseReason.SLOW_CONSUMER: CloseCode.SLOW_CONSUMER,
    CloseReason.SHUTDOWN: CloseCode.GOING_AWAY,
    CloseReason.IDLE: CloseCode.POLICY_VIOLATION,
    CloseReason.TOKEN_EXPIRED: CloseCode.TOKEN_EXPIRED,
    CloseReason.FLOODING: CloseCode.FLOODING,
}


class EngineOptions(NamedTuple):
    """What an engine needs to be told; see `service.config.Settings` for each."""

    heartbeat: Heartbeat
    max_message_bytes: int
    max_outgoing_bytes: int
    max_packets_per_payload: int
    upgrade_timeout_s: float


class Handler(Protocol):
    """The layer above: who is told of connections and gets their messages. Nothing comes after `disconnected`."""

    def turned_away(self, transport: str, code: str) -> None:
        """A connection was refused for a limit; `code` is from `service.transport.admission`."""

    def connected(self, connection: "Connection") -> float | None:
        """A connection stands. Returns when it has to be `confirmed` to stay, None for never."""

    def confirmed(self, connection: "Connection") -> bool:
        """Whether a connection has become what it is for. Asked once, at the time that `connected` gave."""

    def message(self, connection: "Connection", text: str) -> None:
        """A text message, in the order sent.

        Raises:
            ProtocolError: the client does not keep the protocol above; its connection is closed.
        """

    def binary_message(self, connection: "Connection", data: bytes) -> None:
        """A binary message, in the order sent. Raises as `message` does."""

    def upgraded(self, connection: "Connection") -> None:
        """The connection has gone from polling to a websocket."""

    def answered_ping(self, connection: "Connection", round_trip_s: float) -> None:
        """The client has answered a ping."""

    def dropped(self, connection: "Connection", reason: str, messages: int) -> None:
        """Messages did not reach the client: a `slow_consumer`, or they were `unfetched` on polling."""

    def disconnected(self, connection: "Connection", reason: CloseReason, rule: str | None) -> None:
        """The connection is closed. `rule` is what the client broke, if it broke something."""


class Keeper(Protocol):
    """What a connection needs of the engine that keeps it."""

    options: EngineOptions
    cork: Cork

    @property
    def wheel(self) -> Wheel:
        """The timer of all connections."""

    def forget(self, connection: "Connection") -> None:
        """Nothing of the connection is left."""


class Connection:
    """See the module. All of its methods run on the event loop's thread."""

    __slots__ = (
        "_confirm_at_s", "_handler", "_keeper", "_outbox", "_outbox_bytes", "_poll", "_session", "_upgrade",
        "_websocket", "address", "closed", "context", "is_posting", "opened_at_s", "sid",
    )  # fmt: skip

    def __init__(self, sid: str, handler: Handler, keeper: Keeper, now_s: float) -> None:
        self.sid = sid
        self.context: Any = None
        """The handler's own."""
        self.address = ""
        """Where its handshake came from, where that is limited."""
        self.is_posting = False
        """Whether a POST is being read, beside which there may be no other."""
        self.closed = False
        self.opened_at_s = now_s
        self._handler = handler
        self._keeper = keeper
        self._session = Session(keeper.options.heartbeat, now_s)
        self._websocket: WebSocket | None = None
        self._upgrade: Upgrade | None = None
        self._outbox: deque[bytes] | None = None
        self._outbox_bytes = 0
        self._poll: asyncio.Future[None] | None = None
        self._confirm_at_s = math.inf

    def begin_on_websocket(self) -> WebSocket:
        """The websocket whose handshake opens this connection."""
        options = self._keeper.options
        self._websocket = WebSocket(self, options.max_message_bytes, options.max_outgoing_bytes, self._keeper.cork)
        return self._websocket

    def begin_on_polling(self) -> bytes:
        """The first answer to the client."""
        self._outbox = deque()
        self._begin()
        return join_payload([self._open_packet(), *self._take()])

    def opened(self) -> None:
        """See `Receiver`: the websocket that opens this connection stands."""
        assert self._websocket is not None  # noqa: S101 - its own handshake
        self._websocket.send_text(self._open_packet())
        self._begin()

    def _open_packet(self) -> bytes:
        options = self._keeper.options
        can_upgrade = self._websocket is None
        return open_packet(self.sid, options.heartbeat, options.max_message_bytes, can_upgrade=can_upgrade)

    def _begin(self) -> None:
        confirm_at = self._handler.connected(self)
        if confirm_at is not None:
            self._confirm_at_s = confirm_at
        self._keeper.wheel.add(self, min(self._session.deadline_s, self._confirm_at_s))

    @property
    def transport(self) -> str:
        """`polling` or `websocket`, as of now."""
        return "polling" if self._websocket is None else "websocket"

    @property
    def waiting_bytes(self) -> int:
        """What waits in this process for the client to read."""
        return self._outbox_bytes if self._websocket is None else self._websocket.waiting_bytes

    # --- from the handler to the client -------------------------------------------------------------------

    def send(self, text: bytes) -> None:
        """Send a text message, in order. Does nothing on a closed connection."""
        if self._websocket is not None:
            if not self.closed:
                self._websocket.send_text(b"4" + text)
        else:
            self._enqueue(b"4" + text)

    def send_binary(self, data: bytes) -> None:
        """Send a binary message, in order. Does nothing on a closed connection."""
        if self._websocket is not None:
            if not self.closed:
                self._websocket.send_binary(data)
        else:
            self._enqueue(binary_in_payload(data))

    def close(self, reason: CloseReason, rule: str | None = None) -> None:
        """Close the connection after what was sent. The handler hears of it before this returns."""
        if self.closed:
            return
        self.closed = True
        self._handler.disconnected(self, reason, rule)
        if self._upgrade is not None:
            self._upgrade.give_up()
        if self._websocket is not None:
            self._websocket.close(_CODES.get(reason, CloseCode.NORMAL), rule or "")
        else:
            self._close_polling(reason)

    def abort(self) -> None:
        """Cut what is left of the connection."""
        self.close(CloseReason.TRANSPORT_LOST)
        if self._websocket is not None:
            self._websocket.abort()
        else:
            self._forget()

    # --- time ---------------------------------------------------------------------------------------------

    def wake(self, now_s: float) -> float | None:
        """See `Sleeper`."""
        if self.closed:
            return None
        if now_s >= self._confirm_at_s:
            self._confirm_at_s = math.inf
            if not self._handler.confirmed(self):
                self.close(CloseReason.IDLE, "nothing was joined in time")
                return None
        due = self._session.wake(now_s, self._keeper.wheel.step_s)
        if due is Due.PING:
            self._send_packet(PING)
        elif due is Due.TIMED_OUT:
            self.close(CloseReason.PING_TIMEOUT)
            return None
        in_time_s = (
            now_s + self._keeper.options.heartbeat.interval_s
        )  # an answer to the ping brings the next one forward
        return min(self._session.deadline_s, self._confirm_at_s, in_time_s)

    # --- from the client: websocket -----------------------------------------------------------------------

    def text(self, text: str) -> None:
        """See `Receiver`."""
        try:
            if text.startswith("4"):
                self._handler.message(self, text[1:])
            else:
                self._control(text)
        except ProtocolError as error:
            self.close(CloseReason.PROTOCOL_ERROR, error.rule)

    def binary(self, data: bytes) -> None:
        """See `Receiver`."""
        try:
            self._handler.binary_message(self, data)
        except ProtocolError as error:
            self.close(CloseReason.PROTOCOL_ERROR, error.rule)

    def broken(self, rule: str) -> None:
        """See `Receiver`."""
        self.close(CloseReason.PROTOCOL_ERROR, rule)

    def overflowed(self) -> None:
        """See `Receiver`."""
        self._handler.dropped(self, "slow_consumer", 1)
        self.close(CloseReason.SLOW_CONSUMER, _UNREAD)

    def lost(self) -> None:
        """See `Receiver`."""
        self.close(CloseReason.TRANSPORT_LOST)
        self._forget()

    def _control(self, packet: str) -> None:
        received = self._session.receive(packet)
        if received is Received.PONG:
            took_s = self._session.answered(time.monotonic())
            if not math.isnan(took_s):
                self._handler.answered_ping(self, took_s)
        elif received is Received.CLOSE:
            self.close(CloseReason.GOODBYE)

    # --- from the client: polling -------------------------------------------------------------------------

    def is_polling(self) -> bool:
        """Whether a request of polling may still come. A client that was silent for too long is found out here."""
        now = time.monotonic()
        if not self.closed and self._session.wake(now, -math.inf) is Due.TIMED_OUT:
            self.close(CloseReason.PING_TIMEOUT)
        return self._websocket is None and (not self.closed or bool(self._outbox))

    def posted(self, packets: list[str]) -> None:
        """Take the packets of a POST.

        Raises:
            ProtocolError: the client does not keep the protocol; the connection is closed.
        """
        try:
            for packet in packets:
                if self.closed:
                    return
                if packet.startswith("4"):
                    self._handler.message(self, packet[1:])
                elif packet.startswith(BINARY_MARK):
                    self._handler.binary_message(self, binary_from_payload(packet))
                else:
                    self._control(packet)
        except ProtocolError as error:
            self.close(CloseReason.PROTOCOL_ERROR, error.rule)
            raise

    async def polled(self) -> bytes:
        """The answer to a poll, as soon as there is something to answer.

        Raises:
            ProtocolError: another poll waits already; the connection is closed.
        """
        if self._poll is not None:
            self.close(CloseReason.PROTOCOL_ERROR, "one poll at a time")
            raise ProtocolError("one poll at a time")
        if not self._outbox and not self.closed:
            self._poll = asyncio.get_running_loop().create_future()
            held_s = None if self._upgrade is None else UPGRADE_POLL_S
            try:
                async with asyncio.timeout(held_s):
                    await self._poll
            except TimeoutError:
                pass
            finally:
                self._poll = None
        packets = self._take() or [NOOP]
        if self.closed and not self._outbox and self._websocket is None:
            self._forget()
        return join_payload(packets)

    def _take(self) -> list[bytes]:
        packets: list[bytes] = []
        while self._outbox and len(packets) < MAX_PACKETS_PER_ANSWER:
            if packets and self._outbox[0] == CLOSE:
                break  # a client that is told to close looks at nothing that came with it
            packets.append(self._outbox.popleft())
        self._outbox_bytes -= sum(map(len, packets))
        return packets

    def _release_poll(self) -> None:
        if self._poll is not None and not self._poll.done():
            self._poll.set_result(None)

    def _enqueue(self, packet: bytes) -> None:
        if self.closed or self._outbox is None:
            return
        if self._outbox_bytes + len(packet) > self._keeper.options.max_outgoing_bytes:
            self._handler.dropped(self, "slow_consumer", self._discard() + packet.startswith(_MESSAGES))
            self.close(CloseReason.SLOW_CONSUMER, _UNREAD)
            return
        self._outbox.append(packet)
        self._outbox_bytes += len(packet)
        self._release_poll()

    def _send_packet(self, packet: bytes) -> None:
        if self._websocket is not None:
            self._websocket.send_text(packet)
        else:
            self._enqueue(packet)

    def _close_polling(self, reason: CloseReason) -> None:
        assert self._outbox is not None  # noqa: S101 - it is on polling
        self._outbox.append(NOOP if reason in _WITHOUT_CLOSE else CLOSE)
        if self._poll is not None or reason in _LINGERING:
            self._release_poll()
            asyncio.get_running_loop().call_later(LINGER_S, self._forget)
        else:
            self._forget()

    def _forget(self) -> None:
        unfetched = self._discard()
        if unfetched:
            self._handler.dropped(self, "unfetched", unfetched)
        self._release_poll()
        self._keeper.forget(self)

    def _discard(self) -> int:
        """Give up what waits. Returns how many messages that was."""
        outbox = self._outbox or deque()
        messages = sum(packet.startswith(_MESSAGES) for packet in outbox)
        outbox.clear()
        self._outbox_bytes = 0
        return messages

    # --- upgrade ------------------------------------------------------------------------------------------

    def begin_upgrade(self) -> WebSocket:
        """The websocket whose handshake names this connection. One that comes too late is closed."""
        upgrade = Upgrade(self, usable=self._upgrade is None and self._websocket is None and not self.closed)
        options = self._keeper.options
        limits = options.max_message_bytes, options.max_outgoing_bytes
        upgrade.websocket = WebSocket(upgrade, *limits, self._keeper.cork)
        if upgrade.usable:
            self._upgrade = upgrade
        return upgrade.websocket

    def probed(self) -> None:
        """The new websocket works: let the client's poll end."""
        self._release_poll()

    def upgrade(self, websocket: WebSocket) -> None:
        """Go on with this websocket."""
        self._upgrade = None
        self._websocket = websocket
        websocket.adopt(self)
        waiting, self._outbox = self._outbox or (), None
        self._outbox_bytes = 0
        self._release_poll()
        for packet in waiting:
            if packet.startswith(b"b"):
                websocket.send_binary(binary_from_payload(packet.decode()))
            else:
                websocket.send_text(packet)
        self._handler.upgraded(self)

    def upgrade_failed(self) -> None:
        """Stay on polling."""
        self._upgrade = None

    @property
    def upgrade_timeout_s(self) -> float:
        """How long an upgrade may take."""
        return self._keeper.options.upgrade_timeout_s


class Upgrade:
    """The receiver of a websocket that is to take the place of polling. Section "Upgrade"."""

    websocket: WebSocket

    def __init__(self, connection: Connection, *, usable: bool) -> None:
        self.usable = usable
        self._connection = connection
        self._probe = Probe()
        self._timer: asyncio.TimerHandle | None = None

    def opened(self) -> None:
        """See `Receiver`."""
        if self.usable:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._connection.upgrade_timeout_s, self.give_up)
        else:
            self.websocket.close(CloseCode.POLICY_VIOLATION, "the session has a websocket, or is closed")

    def text(self, text: str) -> None:
        """See `Receiver`."""
        try:
            if self._probe.receive(text):
                self._end()
                self._connection.upgrade(self.websocket)
            else:
                self.websocket.send_text(PROBE_ANSWER)
                self._connection.probed()
        except ProtocolError as error:
            self.websocket.close(CloseCode.PROTOCOL_ERROR, error.rule)
            self._fail()

    def binary(self, _data: bytes) -> None:
        """See `Receiver`."""
        self.websocket.close(CloseCode.PROTOCOL_ERROR, "an upgrade is a probe and an upgrade packet")
        self._fail()

    def broken(self, _rule: str) -> None:
        """See `Receiver`."""
        self._fail()

    def overflowed(self) -> None:
        """See `Receiver`: nothing is sent here that could."""

    def lost(self) -> None:
        """See `Receiver`."""
        self._fail()

    def give_up(self) -> None:
        """Close the websocket, since it took too long or the session is closed."""
        self.websocket.close(CloseCode.POLICY_VIOLATION, "the upgrade was not completed")
        self._fail()

    def _fail(self) -> None:
        if self.usable:
            self._end()
            self._connection.upgrade_failed()

    def _end(self) -> None:
        self.usable = False
        if self._timer is not None:
            self._timer.cancel()

"""The one door for all events: raw packet in, bytes out.

Decoding, validation, order, the guard against failures, acknowledgements, errors and their observation happen
here, for every event in the same way; no event has a handler of its own.
"""

import logging
import time
from functools import partial
from typing import NamedTuple

import msgspec

from service.control.control import CallControl
from service.control.outcome import Outcome
from service.control.session import Session
from service.domain.budget import UNLIMITED, Bucket, Rate, Scope, SharedBuckets
from service.domain.effects import Effect, Joined, Relayed
from service.domain.ids import CallId, SessionId, UserId
from service.domain.requests import Join, Relay, Renew, Request
from service.errors import (
    BacklogFullError,
    InternalError,
    RateLimitedError,
    ReceiverNotFoundError,
    SignallingError,
    UnauthorizedError,
)
from service.ports import (
    Alarm,
    Authenticator,
    Clock,
    EventHandled,
    Identity,
    LinkClosed,
    LinkOpened,
    LinkRefused,
    Observer,
)
from service.protocol import codec
from service.protocol.codec import Packet
from service.protocol.framing import MalformedPacketError
from service.protocol.server import Draining
from service.protocol.translate import to_error, to_message
from service.supervisor import Supervisor
from service.transport.lane import Lane
from service.transport.link import CloseReason, Link

MAX_DEBT = 100
"""Events beyond its rate after which a client that does not slow down is disconnected."""

PASSING_S = 0.5
"""How long a client that is retired stays open for what other nodes have sent it before they heard of it."""

OTHER_EVENT = "_OTHER"
"""How events outside the contract are counted, since clients choose their names."""

_log = logging.getLogger(__name__)


class _Joining(msgspec.Struct):
    """What waits for the end of a client's `user:join`, and how many relays that were kept for it come before."""

    effects: list[Effect]
    kept: int = 0


class _Client(msgspec.Struct, gc=False):
    link: Link
    session: Session
    lane: Lane
    opened_at_s: float
    bucket: Bucket
    """Its own, until it speaks for a user: then the user's, whichever socket he used before."""
    of_address: Bucket | None
    holds: UserId | None = None
    """The user whose bucket that is."""
    debt: int = 0
    """Refusals for the rate of events, less what was taken since."""
    joining: _Joining | None = None


class EventLimits(NamedTuple):
    """See `service.config.Settings` for each."""

    events: Rate = UNLIMITED
    events_per_address: Rate = UNLIMITED
    expiry_grace_s: float = 0.0


class Gateway:
    """Every connected client of this node, and the way of its events to call control and back.

    The engine calls `admit`, `opened`, `receive` and `closed`; the router calls `deliver` and `dismiss`
    (`service.ports.Outlet`).
    """

    def __init__(
        self,
        *,
        control: CallControl,
        authenticator: Authenticator,
        observer: Observer,
        supervisor: Supervisor,
        clock: Clock,
        event_backlog: int,
        limits: EventLimits = EventLimits(),  # noqa: B008 - a value
    ) -> None:
        self._control = control
        self._authenticator = authenticator
        self._observer = observer
        self._supervisor = supervisor
        self._now = clock.now
        self._event_backlog = event_backlog
        self._limits = limits
        self._is_limited = bool(limits.events.number or limits.events_per_address.number)
        self._of_users: SharedBuckets[UserId] = SharedBuckets(limits.events)
        self._of_addresses: SharedBuckets[str] = SharedBuckets(limits.events_per_address)
        self._call_at = clock.call_at
        self._expiries: dict[SessionId, Alarm] = {}
        self._clients: dict[SessionId, _Client] = {}
        self.events_in_progress = 0
        self._last: tuple[Effect | None, bytes] = (None, b"")

    def __len__(self) -> int:
        """The number of connected clients."""
        return len(self._clients)

    def __contains__(self, session: object) -> bool:
        """Whether a client is connected here."""
        return session in self._clients

    # --- what the engine calls ----------------------------------------------------------------------------

    async def admit(self, credentials: object) -> Identity:
        """Judge the credentials of a CONNECT packet.

        Raises:
            AuthenticationError: the client is refused; says why.
        """
        return await self._authenticator.authenticate(credentials)

    def opened(self, link: Link, identity: Identity, took_s: float) -> None:
        """A client is connected, `took_s` after its handshake. Its id must be new."""
        lane = Lane("events of a socket", self._supervisor, self._event_backlog)
        now_s = self._now()
        own = Bucket(self._limits.events, now_s)
        is_counted = bool(self._limits.events_per_address.number)
        of_address = self._of_addresses.hold(link.address, now_s) if is_counted else None
        client = _Client(link, Session(link.id, identity), lane, now_s, own, of_address)
        self._clients[link.id] = client
        self._count_for(client, identity.user)
        self._expire_in_time(client)
        self._observer.link_opened(LinkOpened(link.id, link.transport, took_s))

    def refused(self, transport: str, result: str) -> None:
        """A client did not get as far; see `LinkRefused`."""
        self._observer.link_refused(LinkRefused(transport, result))

    def upgraded(self, session: SessionId) -> None:
        """A client has gone from polling to a websocket."""
        if session in self._clients:
            self._observer.link_upgraded(session)

    def answered_ping(self, transport: str, round_trip_s: float) -> None:
        """A client has answered a heartbeat."""
        self._observer.client_answered(transport, round_trip_s)

    def dropped(self, reason: str, messages: int) -> None:
        """Messages did not reach a client; see `Observer.messages_dropped`."""
        self._observer.messages_dropped(reason, messages)

    def has_joined(self, session: SessionId) -> bool:
        """Whether a client speaks for a user."""
        client = self._clients.get(session)
        return client is not None and client.session.user is not None

    def receive(self, session: SessionId, packet: str) -> None:
        """Answer an EVENT packet of a client, after those that it sent before. Never raises."""
        received_at = self._now()
        client = self._clients.get(session)
        if client is None:
            return
        self._observer.message_received(len(packet) if packet.isascii() else len(packet.encode()))
        if self._is_limited and not self._may_send(client, packet, received_at):
            return
        try:
            event = codec.split(packet)
        except MalformedPacketError as error:
            client.link.abort(CloseReason.PROTOCOL_ERROR, error.rule)
            return
        if event.event in codec.RELAYED and client.lane.is_idle and self._relay(client, event, received_at):
            return
        if not client.lane.submit(lambda: self._answer(client, event, received_at)):
            self._turn_away(client, event, received_at, BacklogFullError())

    def closed(self, session: SessionId, reason: CloseReason) -> None:
        """A client is gone. What it sent before is still answered first."""
        client = self._clients.pop(session, None)
        if client is None:
            return
        expiry = self._expiries.pop(session, None)
        if expiry is not None:
            expiry.cancel()
        lasted = self._now() - client.opened_at_s
        self._observer.link_closed(LinkClosed(session, client.link.transport, reason.value, lasted))
        client.lane.submit(lambda: self._gone(client, goodbye=reason is CloseReason.GOODBYE), force=True)

    # --- limits -------------------------------------------------------------------------------------------

    def _may_send(self, client: _Client, packet: str, now_s: float) -> bool:
        """Whether one more event of a client is within its rate. Else it is told, and goes when it does not listen."""
        limits = self._limits
        if limits.events.number and (wait_s := client.bucket.take(limits.events, now_s)):
            scope = Scope.SOCKET if client.holds is None else Scope.USER
        elif client.of_address and (wait_s := client.of_address.take(limits.events_per_address, now_s)):
            scope = Scope.ADDRESS
        else:
            if client.debt:
                client.debt -= 1
            return True
        client.debt += 1
        if client.debt > MAX_DEBT:
            client.link.abort(CloseReason.FLOODING, "events are sent within their rate")
            return False
        try:
            self._turn_away(client, codec.split(packet), now_s, RateLimitedError(wait_s, scope))
        except MalformedPacketError as error:
            client.link.abort(CloseReason.PROTOCOL_ERROR, error.rule)
        return False

    def _count_for(self, client: _Client, user: UserId | None) -> None:
        """From now on the events of a client are those of this user."""
        if user is not None and client.holds is None and self._limits.events.number:
            client.holds, client.bucket = user, self._of_users.hold(user, self._now())

    def _release(self, client: _Client) -> None:
        now_s = self._now()
        if client.of_address is not None:
            self._of_addresses.release(client.link.address, now_s)
        if client.holds is not None:
            self._of_users.release(client.holds, now_s)

    def _expire_in_time(self, client: _Client) -> None:
        """Close a client some time after its proof has run out, unless it brings another before."""
        session = client.session
        before = self._expiries.pop(session.id, None)
        if before is not None:
            before.cancel()
        if session.identity.expires_at_s is not None:
            left_s = session.identity.expires_at_s - time.time() + self._limits.expiry_grace_s
            when_s = self._now() + max(0.0, left_s)
            self._expiries[session.id] = self._call_at(when_s, lambda: client.link.close(CloseReason.TOKEN_EXPIRED))

    async def _renew(self, client: _Client, request: Renew) -> None:
        """Take a fresh token of the same user.

        Raises:
            AuthenticationError: it is not accepted.
            UnauthorizedError: it names another user.
        """
        session = client.session
        identity = await self._authenticator.authenticate({"token": request.token})
        if identity.user is None or identity.user != (session.identity.user or session.user):
            raise UnauthorizedError
        session.identity = identity
        self._expire_in_time(client)

    # --- what the router calls ----------------------------------------------------------------------------

    def deliver(self, session: SessionId, effect: Effect) -> bool:
        """See `service.ports.Outlet.deliver`."""
        client = self._clients.get(session)
        if client is None:
            return False
        if client.joining is not None:
            self._deliver_in_turn(client, client.joining, effect)
        else:
            self._write(client, effect)
        return True

    def _deliver_in_turn(self, client: _Client, joining: _Joining, effect: Effect) -> None:
        """Deliver to a client that joins: first that it has, then what was kept for it, then what came meanwhile.

        The others know of the return as soon as it is committed, and what they send may be here before the answer.
        """
        if isinstance(effect, Joined):
            joining.kept = effect.kept
        elif joining.kept and isinstance(effect, Relayed):
            joining.kept -= 1
        else:
            joining.effects.append(effect)
            return
        self._write(client, effect)
        if not joining.kept:
            self._caught_up(client)

    def _caught_up(self, client: _Client) -> None:
        joining, client.joining = client.joining, None
        for effect in joining.effects if joining is not None else ():
            self._write(client, effect)

    def _write(self, client: _Client, effect: Effect) -> None:
        if self._last[0] is not effect:  # an effect for two parties is encoded once
            self._last = (effect, codec.encode(to_message(effect)))
        self._send(client, self._last[1])

    def dismiss(self, session: SessionId) -> None:
        """See `service.ports.Outlet.dismiss`."""
        client = self._clients.get(session)
        if client is not None:
            client.link.close(CloseReason.DISMISSED)

    # --- what a stop calls --------------------------------------------------------------------------------

    def sessions(self) -> list[SessionId]:
        """All clients as of now."""
        return list(self._clients)

    def is_in_call(self, session: SessionId) -> bool:
        """Whether a client's user has a live call."""
        client = self._clients.get(session)
        return client is not None and self._control.is_in_call(client.session)

    def announce_end(self, session: SessionId, in_s: float) -> None:
        """Tell a client that its connection ends in so many seconds. Harmless when it is not here."""
        client = self._clients.get(session)
        if client is not None:
            self._send(client, codec.encode(Draining(reconnect_in_ms=round(in_s * 1000))))

    def retire(self, session: SessionId) -> None:
        """Close a client that is to come back elsewhere, after what it sent before. Harmless when it is not here.

        Its loss is made known first. So what is sent to it reaches it before it is closed, or is kept for its return.
        """
        client = self._clients.get(session)
        if client is not None:
            client.lane.submit(lambda: self._retire(client), force=True)

    async def _retire(self, client: _Client) -> None:
        await self._leave(client, goodbye=False)
        self._call_at(self._now() + PASSING_S, lambda: client.link.close(CloseReason.SHUTDOWN))

    def _send(self, client: _Client, packet: bytes) -> None:
        client.link.send(packet)
        self._observer.message_sent(len(packet))

    async def _gone(self, client: _Client, *, goodbye: bool) -> None:
        await self._leave(client, goodbye=goodbye)
        self._release(client)

    async def _leave(self, client: _Client, *, goodbye: bool) -> None:
        try:
            await self._control.left(client.session, goodbye=goodbye)
        except Exception as error:  # noqa: BLE001 - the gateway's guard: the engine must not see what fails here
            _log.error("leaving failed: %s", type(error).__name__, exc_info=error)

    # --- one event ----------------------------------------------------------------------------------------

    def _relay(self, client: _Client, packet: Packet, received_at_s: float) -> bool:
        """Pass an event on without waiting. False, with nothing done, where that cannot be or goes wrong."""
        try:
            request = codec.decode(packet).request(client.session.id)
            missed = partial(self._undelivered, client, packet) if packet.ack_id is None else None
            call_id = self._control.relay_now(client.session, request, missed) if isinstance(request, Relay) else None
        except Exception:  # noqa: BLE001 - the gateway's guard: the general way says what is wrong, and logs it
            return False
        if call_id is None:
            return False
        if packet.ack_id is not None:
            self._acknowledge(client, packet, None)
        took_s = self._now() - received_at_s
        record = EventHandled(packet.event, "ok", call_id, client.session.id, received_at_s, 0.0, took_s, None)
        self._observer.event_handled(record)
        return True

    def _undelivered(self, client: _Client, packet: Packet) -> None:
        """An event that was on its way to another node did not get there."""
        self._refuse(client, packet, ReceiverNotFoundError(), None)
        self._observer.messages_dropped("undelivered", 1)

    async def _answer(self, client: _Client, packet: Packet, received_at_s: float) -> None:
        self.events_in_progress += 1
        try:
            await self._answer_counted(client, packet, received_at_s)
        finally:
            self.events_in_progress -= 1

    async def _answer_counted(self, client: _Client, packet: Packet, received_at_s: float) -> None:
        started_at = self._now()
        call_id: CallId | None = None
        traceparent: str | None = None
        error: Exception | None = None
        refusal: SignallingError | None = None
        try:
            message = codec.decode(packet)
            call_id, traceparent = codec.call_id_of(message), codec.traceparent_of(message)
            outcome = await self._outcome(client, message.request(client.session.id))
        except SignallingError as known:
            refusal = known
        except MalformedPacketError as malformed:
            client.link.abort(CloseReason.PROTOCOL_ERROR, malformed.rule)
            return
        except Exception as unknown:  # noqa: BLE001 - the gateway's guard: a failing event must not end the socket
            error, refusal = unknown, InternalError()
            told = {"call_id": call_id}
            _log.error("event %s failed: %s", packet.event, type(unknown).__name__, exc_info=unknown, extra=told)
        else:
            call_id = outcome.call_id
            self._acknowledge(client, packet, outcome.confirmation)
        if refusal is not None:
            self._refuse(client, packet, refusal, call_id)
        record = EventHandled(
            event=packet.event if codec.kind_of(packet.event) else OTHER_EVENT,
            outcome=refusal.code if refusal else "ok",
            call_id=call_id,
            session=client.session.id,
            received_at_s=received_at_s,
            waited_s=started_at - received_at_s,
            took_s=self._now() - started_at,
            error=error,
            traceparent=traceparent,
        )
        self._observer.event_handled(record)
        if refusal is not None:
            self._observer.event_refused(record)
        del refusal, error, record  # an exception leads to its frame, and so to the packet: a circle otherwise

    async def _outcome(self, client: _Client, request: Request) -> Outcome:
        if isinstance(request, Renew):
            await self._renew(client, request)
            return Outcome()
        if not isinstance(request, Join):
            return await self._control.handle(client.session, request)
        client.joining = _Joining([])
        try:
            outcome = await self._control.handle(client.session, request)
        finally:
            self._caught_up(client)
        self._count_for(client, client.session.user)
        return outcome

    def _acknowledge(self, client: _Client, packet: Packet, confirmation: Effect | None) -> None:
        if packet.ack_id is not None:
            fields = None if confirmation is None else to_message(confirmation)
            self._send(client, codec.encode_ack(packet.ack_id, fields))

    def _refuse(self, client: _Client, packet: Packet, refusal: SignallingError, call_id: CallId | None) -> None:
        name = packet.event[: codec.MAX_ECHOED_NAME_CHARS]
        if isinstance(refusal, RateLimitedError):
            self._observer.rate_limited(refusal.scope)
        error = to_error(refusal, name, codec.kind_of(packet.event), call_id)
        self._send(client, codec.encode(error))
        if packet.ack_id is not None:
            self._send(client, codec.encode_error_ack(packet.ack_id, error))

    def _turn_away(self, client: _Client, packet: Packet, received_at_s: float, refusal: SignallingError) -> None:
        self._refuse(client, packet, refusal, None)
        name = packet.event if codec.kind_of(packet.event) else OTHER_EVENT
        record = EventHandled(name, refusal.code, None, client.session.id, received_at_s, 0.0, 0.0, None)
        self._observer.event_handled(record)
        self._observer.event_refused(record)

"""The doors of the core: what call control needs of the world, and what the world may see of it.

Each port has a shipped embedded adapter in `service.adapters.memory`; one contract suite per port
(`tests/contract/`) runs over every adapter of it.
"""

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, NamedTuple, Protocol

import msgspec

from service.domain.budget import Scope
from service.domain.call import Call
from service.domain.effects import Effect, Relayed
from service.domain.events import Event
from service.domain.ids import CallId, SessionId, UserId
from service.domain.missed import Missed
from service.domain.placing import Presence

# --- Time --------------------------------------------------------------------------------------------------


class Alarm(Protocol):
    """A callback that waits for its time."""

    def cancel(self) -> None:
        """Forget it. Harmless when it has already run."""


class Clock(Protocol):
    """Time that never goes back, in seconds from an unspecified origin."""

    def now(self) -> float:
        """The time now, in seconds."""

    def call_at(self, when_s: float, callback: Callable[[], None]) -> Alarm:
        """Run `callback` once when the clock reaches `when_s`; at once (but not inside this call) if it has."""


class Timers(Protocol):
    """One deadline for each call that has one."""

    def set(self, call_id: CallId, when_s: float) -> None:
        """Wake this call at `when_s` and at no other time; replaces what was set for it before."""

    def clear(self, call_id: CallId) -> None:
        """Never wake this call. Harmless when nothing was set."""


# --- Who is where ------------------------------------------------------------------------------------------


class Unchanged(msgspec.Struct, frozen=True, tag=True):
    """Precondition: the stored call has this version; 0 means that it is not stored."""

    call_id: CallId
    version: int


class Free(msgspec.Struct, frozen=True, tag=True):
    """Precondition: the user has no live call."""

    user: UserId


class Seated(msgspec.Struct, frozen=True, tag=True):
    """Precondition: the session speaks for the user."""

    user: UserId
    session: SessionId


Precondition = Unchanged | Free | Seated


class ConflictError(Exception):
    """A precondition of a commit does not hold, so nothing was stored. Load again and decide again."""


OnChange = Callable[[UserId], None]
"""What a directory does with a change of a user who is followed: `PresenceControl.changed`. It only takes note."""


class OutOfReachError(Exception):
    """What a port stands on cannot be asked now. Whoever waits is told at once; to try again later is safe."""


class Seat(NamedTuple):
    """The outcome of seating a session: the sessions of the user that lost their seat, and his live call."""

    displaced: tuple[SessionId, ...]
    call: Call | None


class Directory(Protocol):
    """Who is where, and in which call. Soft state: what is in it can be written again by those it is about.

    Every method is atomic. Calls are values: what `load` gives never changes in the caller's hands. A directory
    that is shared between nodes may raise `OutOfReachError` from every method that is awaited.
    """

    async def seat(self, user: UserId, session: SessionId) -> Seat:
        """Let `session` speak for `user`, in the place of any other session of his. Repeatable."""

    async def vacate(self, user: UserId, session: SessionId) -> bool:
        """Let `session` no longer speak for `user`. False, and nothing changed, if it did not."""

    async def presence(self, user: UserId) -> Presence:
        """The user's sessions and live call; of an unknown user an empty presence."""

    def call_at_hand(self, user: UserId) -> Call | None:
        """The user's live call, where that is known without waiting; None says nothing."""

    async def load(self, call_id: CallId) -> Call | None:
        """The live call of this id, None if there is none."""

    def users_online(self) -> int:
        """How many users have a session on this node. From any thread."""

    def attach(self, on_change: OnChange) -> None:
        """Name what is told of the changes of those who are followed."""

    async def follow(self, users: Sequence[UserId]) -> None:
        """From the return of this on, tell when one of these users comes, goes, gets a call or is free. Repeatable.

        It is told after the change is stored, so that `presence` shows it. It may be told too often and of nothing,
        never too seldom. What several nodes share tells of the changes that any of them makes, and of those that none
        makes: sessions that run out because their node is dead. With Redis: the scripts that seat, vacate and commit
        publish on a channel of the user, as does who sweeps up after a dead node; a node subscribes to the channels
        of those whom it follows, and this returns when that is confirmed. After the loss of its connection it
        subscribes anew and tells of everybody whom it follows, for what it may have missed.
        """

    def unfollow(self, users: Sequence[UserId]) -> None:
        """Tell of these users no longer. `follow` and `unfollow` take effect in the order called."""

    async def live_calls(self) -> Sequence[Call]:
        """All live calls that this node answers for: those in which one of its own sessions takes part."""

    async def commit(self, call: Call, preconditions: Sequence[Precondition]) -> None:
        """Store the call, if all preconditions hold; an ended one is removed and its users are free.

        Raises:
            ConflictError: a precondition does not hold. Nothing was stored.
        """

    async def hold(self, call: Call, user: UserId, relay: Relayed) -> bool:
        """Keep a relay for a party of the call that is away, in the order of the calls of this method.

        False if it does not fit within the bounds of `service.domain.missed`: it is counted then. What is kept goes
        with the call.

        Raises:
            ConflictError: the stored call has another version, so the party may be back. Nothing was kept.
        """

    async def collect(self, call_id: CallId, user: UserId) -> Missed:
        """What was kept for the user, in order; kept no longer. To be asked after the commit that brings him back."""


# --- Bringing effects to sessions --------------------------------------------------------------------------


class Outlet(Protocol):
    """The node's own sockets, as the router sees them."""

    def deliver(self, session: SessionId, effect: Effect) -> bool:
        """Write the effect to the session's socket. False if this node has no such session."""

    def dismiss(self, session: SessionId) -> None:
        """Close the session's socket, after what was delivered to it. Harmless when it is not here."""


Undelivered = Callable[[], None]
"""What is done about an effect that was on its way and could not be delivered."""


class Router(Protocol):
    """Brings effects to sessions, wherever they are."""

    def tell(self, effects: Sequence[Effect]) -> None:
        """Deliver in order; to each session of an effect once. What goes to other nodes is on its way on return.

        For what follows from a decision that the directory has: a session that it does not reach will ask.
        """

    async def send(self, effects: Sequence[Effect]) -> frozenset[SessionId]:
        """Deliver likewise, and wait until it is known who was reached. Returns the sessions that were not."""

    def post(self, effect: Effect, missed: Undelivered | None = None) -> bool:
        """Deliver without waiting. False if nothing was delivered: `send` may still do it.

        What goes to another node is only on its way when this returns, and only where `missed` is given: it is
        called if the effect cannot be delivered after all.
        """

    async def dismiss(self, session: SessionId) -> None:
        """Close a session's socket, after the effects sent to it."""


# --- Who may connect ---------------------------------------------------------------------------------------


class Identity(msgspec.Struct, frozen=True):
    """What is known of a socket's owner. With `user` set, it may join as that user only.

    `expires_at_s` is when its proof runs out, in seconds since the epoch (wall clock); None means never. The
    leeway for clocks that differ is already in it.
    """

    user: UserId | None = None
    expires_at_s: float | None = None


class Authenticator(Protocol):
    """Decides who may open a socket."""

    async def authenticate(self, credentials: object) -> Identity:
        """Judge what the client sent in the Socket.IO CONNECT packet (`auth`), or to renew it later.

        Raises:
            AuthenticationError: refused; its class says why, its `code` and `message` are for the client.
        """


# --- Who may call whom -------------------------------------------------------------------------------------


class Authoriser:
    """Decides whether one user may call another now. As it stands everybody may, which is the default.

    It is asked again for every call, so it must be quick, and it must give an answer: what to do when those whom
    it asks in turn say nothing is its own business.
    """

    async def may_call(self, caller: UserId, callee: UserId) -> bool:
        """Whether a call from one to the other may be placed. Whether the callee exists is not asked."""
        return True


# --- Who watches -------------------------------------------------------------------------------------------


class EventHandled(msgspec.Struct, frozen=True, gc=False):
    """One client event has been dealt with. Durations are in seconds.

    `event` is a name of the contract, or `_OTHER`; `outcome` is `ok` or the error's code; `error` is set where
    the server itself failed; `traceparent` is the client's own trace context (W3C), where it sent one.
    """

    event: str
    outcome: str
    call_id: CallId | None
    session: SessionId
    received_at_s: float
    waited_s: float
    took_s: float
    error: BaseException | None
    traceparent: str | None = None


class CallStepped(msgspec.Struct, frozen=True, gc=False):
    """A call has changed, relayed something, or was reported on. `before` is None for a new call."""

    before: Call | None
    after: Call
    event: Event | None
    effects: tuple[Effect, ...]
    now_s: float


class LinkOpened(NamedTuple):
    """A Socket.IO connection stands, `took_s` after its handshake. `transport` is `polling` or `websocket`."""

    session: SessionId
    transport: str
    took_s: float


class LinkRefused(NamedTuple):
    """A connection did not come about.

    `refused` by authentication, `malformed`, `abandoned` by its client; or a limit was met: `rate_limited`,
    `too_many_connections` (of one address), `server_full`.
    """

    transport: str
    result: str


class LinkClosed(NamedTuple):
    """A Socket.IO connection is gone. `reason` is from `service.transport.link.CloseReason`."""

    session: SessionId
    transport: str
    reason: str
    lasted_s: float


class Observer:
    """Sees everything, changes nothing. As it stands it watches nothing, which is the default.

    An observer overrides what it wants to see. It must not block and must be quick: all but the methods about
    links run on the way of every event. What it raises is the fan-out's business. Times are those of `Clock`.
    """

    def event_handled(self, record: EventHandled) -> None:
        """A client's event has been dealt with, well or badly."""

    def event_refused(self, record: EventHandled) -> None:
        """Its outcome was not `ok`. Comes after `event_handled`, for those who look at nothing else."""

    def call_stepped(self, record: CallStepped) -> None:
        """A call was placed, has changed, relayed something, or was reported on by a party.

        After the commit, before the effects are sent.
        """

    def link_opened(self, record: LinkOpened) -> None:
        """A socket was connected."""

    def link_refused(self, record: LinkRefused) -> None:
        """A socket did not get as far."""

    def link_upgraded(self, session: SessionId) -> None:
        """A socket that was on polling is on a websocket now."""

    def link_closed(self, record: LinkClosed) -> None:
        """A socket was closed."""

    def client_answered(self, transport: str, round_trip_s: float) -> None:
        """A client has answered a heartbeat."""

    def statuses_pushed(self, count: int) -> None:
        """A change of one user's status has gone to so many watchers."""

    def rate_limited(self, scope: Scope) -> None:
        """An event was refused for its rate."""

    def keys_fetched(self, result: str) -> None:
        """The token issuer was asked for its keys: `ok`, or why it was in vain.

        `unreachable`, `timeout`, `too_large` or `malformed` HTTP, or `unusable` for its purpose.
        """

    def leave_asked(self, result: str, took_s: float) -> None:
        """The backend was asked whether a user may call another: `allowed`, `refused`, or in vain as above."""

    def message_received(self, size_bytes: int) -> None:
        """An event or acknowledgement has come from a client."""

    def messages_dropped(self, reason: str, count: int) -> None:
        """Messages did not reach a client: a `slow_consumer`; `unfetched` on polling; `undelivered` to its node."""

    def messages_missed(self, result: str, count: int) -> None:
        """Relays to a party that was away were `kept`, `overflowed`, or `delivered` when it came back."""

    def message_sent(self, size_bytes: int) -> None:
        """An event or acknowledgement has gone to a client."""


class RedisWatch:
    """Sees what goes on between the nodes. As it stands it watches nothing, which is the default.

    Overridden by whoever counts. Must not block and must be quick; what it raises is the fan-out's business. Times
    are in seconds.
    """

    def command_done(self, command: str, took_s: float, outcome: str) -> None:
        """A command (the name of a script, or a Redis command) was `ok`, `refused`, or its outcome is `unknown`."""

    def redis_reached(self) -> None:
        """A connection stands and this node's lease holds: the first, or one after `redis_lost`."""

    def redis_lost(self) -> None:
        """Nothing can be asked of Redis until `redis_reached`."""

    def reconnected(self) -> None:
        """A connection to Redis, other than the first, was made."""

    def nodes_living(self, count: int) -> None:
        """How many nodes hold a lease, this one among them."""

    def batch_sent(self, messages: int) -> None:
        """An entry with so many messages was put into another node's inbox."""

    def batch_received(self, messages: int, lag_s: float) -> None:
        """An entry of the inbox was read, `lag_s` after it was put there."""

    def poison_ignored(self, kind: str) -> None:
        """Something in the inbox or the directory was ignored: `too_large`, `malformed`, `version`, `duplicate`."""

    def messages_lost(self, entries: int) -> None:
        """So many entries that other nodes sent were never read: the inbox was trimmed, or Redis forgot them."""

    def delivery_missed(self) -> None:
        """A message came for a socket that is not here any more."""

    def fenced(self) -> None:
        """A write of this node was refused because its lease was over."""

    def session_reaped(self) -> None:
        """A session of a dead node was cleared up here."""

    def call_restored(self, result: str) -> None:
        """A call met Redis after its return: `ours` was written, `theirs` was newer, or it is `over`."""

    def call_changed(self, call: Call) -> None:
        """Another node has placed or changed a call in which a user of this node takes part."""

    def call_over(self, call_id: CallId, call: Call | None) -> None:
        """A call is over that this node did not end; None where nobody said how it ended. May be told twice."""

    def answer_came(self, session: SessionId) -> None:
        """Another node has brought the answer of an offer to a socket of this one."""


Spawn = Callable[[str, Coroutine[Any, Any, None]], object]
"""Runs work in the background under a name: `Supervisor.spawn`."""

OnDue = Callable[[CallId], Awaitable[None]]
"""What timers do with a call whose deadline has come: `CallControl.wake`."""

"""Call control with the shipped memory adapters, a clock moved by hand, and sockets that note what they hear."""

import asyncio
import itertools
from collections.abc import Callable
from typing import NamedTuple

from service.adapters.memory.clock import ManualClock
from service.adapters.memory.directory import MemoryDirectory
from service.adapters.memory.router import MemoryRouter
from service.adapters.memory.timers import MemoryTimers
from service.control.control import CallControl
from service.control.outcome import Outcome
from service.control.presence import DEFAULT_MAX_WATCHED, PresenceControl
from service.control.session import Session
from service.domain.budget import UNLIMITED, Rate
from service.domain.call import Policy
from service.domain.effects import Effect, Initiated
from service.domain.events import Accept, Media, PartyEvent
from service.domain.ice import IceGrant
from service.domain.ids import CallId, SessionId, UserId
from service.domain.requests import InCall, Initiate, Join, Request
from service.ports import Authoriser, CallStepped, Directory, Identity, Observer
from service.supervisor import Supervisor


class Watch(Observer):
    """Keeps what call control lets an observer see."""

    def __init__(self) -> None:
        self.steps: list[CallStepped] = []
        self.pushed = 0
        self.missed: dict[str, int] = {}

    def call_stepped(self, record: CallStepped) -> None:
        """See `service.ports.Observer.call_stepped`."""
        self.steps.append(record)

    def statuses_pushed(self, count: int) -> None:
        """See `service.ports.Observer.statuses_pushed`."""
        self.pushed += count

    def messages_missed(self, result: str, count: int) -> None:
        """See `service.ports.Observer.messages_missed`."""
        self.missed[result] = self.missed.get(result, 0) + count


class Heard(NamedTuple):
    """One effect, as a session heard it."""

    session: SessionId
    effect: Effect


class Rig:
    """A node without a transport."""

    def __init__(
        self,
        *,
        ring_s: float = 30.0,
        grace_s: float = 0.0,
        directory: Directory | None = None,
        first_call: int = 1,
        authoriser: Authoriser | None = None,
        hide_presence: bool = False,
        max_watched: int = DEFAULT_MAX_WATCHED,
        ice: Callable[[Session, CallId | None], IceGrant] | None = None,
        rings: Rate = UNLIMITED,
        lookups: Rate = UNLIMITED,
    ) -> None:
        numbers = itertools.count(first_call)
        self.clock = ManualClock(start_s=1000.0)
        self.directory = directory or MemoryDirectory()
        self.watch = Watch()
        self.heard: list[Heard] = []
        self.dismissed: list[SessionId] = []
        self.connected: set[SessionId] = set()
        self.sessions: dict[str, Session] = {}
        router = MemoryRouter()
        router.attach(self)
        supervisor = Supervisor()
        timers = MemoryTimers(self.clock, supervisor.spawn)
        self.presence = PresenceControl(
            directory=self.directory,
            router=router,
            clock=self.clock,
            spawn=supervisor.spawn,
            observer=self.watch,
            authoriser=authoriser or Authoriser(),
            hide_presence=hide_presence,
            max_watched=max_watched,
            lookups=lookups,
        )
        self.directory.attach(self.presence.changed)
        self.control = CallControl(
            directory=self.directory,
            router=router,
            timers=timers,
            clock=self.clock,
            observer=self.watch,
            new_call_id=lambda: CallId(f"{next(numbers):032x}"),
            policy=Policy(ring_timeout_s=ring_s, reconnect_grace_s=grace_s),
            presence=self.presence,
            authoriser=authoriser,
            hide_presence=hide_presence,
            ice=ice,
            rings=rings,
        )
        timers.attach(self.control.wake)

    # --- service.ports.Outlet ---

    def deliver(self, session: SessionId, effect: Effect) -> bool:
        """See `service.ports.Outlet.deliver`."""
        if session not in self.connected:
            return False
        self.heard.append(Heard(session, effect))
        return True

    def dismiss(self, session: SessionId) -> None:
        """See `service.ports.Outlet.dismiss`."""
        self.dismissed.append(session)

    # --- what tests do ---

    def connect(self, name: str, *, only_as: str | None = None) -> Session:
        """A socket that has not joined."""
        session = Session(SessionId(name), Identity(UserId(only_as) if only_as else None))
        self.connected.add(session.id)
        return session

    async def join(self, user: str, socket: str = "1") -> Session:
        """A socket that has joined."""
        session = self.sessions[f"{user}-{socket}"] = self.connect(f"{user}-{socket}")
        await self.control.handle(session, Join(UserId(user)))
        return session

    async def leave(self, session: Session, *, goodbye: bool = False) -> None:
        """The socket is gone."""
        self.connected.discard(session.id)
        await self.control.left(session, goodbye=goodbye)

    async def ask(self, session: Session, request: Request) -> Outcome:
        """Ask call control."""
        return await self.control.handle(session, request)

    async def call(self, caller: Session, callee: str, media: Media = Media.AUDIO) -> CallId:
        """Place a call and give its id."""
        outcome = await self.ask(caller, Initiate(UserId(callee), media))
        assert isinstance(outcome.confirmation, Initiated)
        return outcome.confirmation.call_id

    async def answered_call(self, caller: Session, callee: Session) -> CallId:
        """A call that was placed and accepted."""
        assert callee.user is not None
        call_id = await self.call(caller, callee.user)
        await self.do(callee, call_id, Accept(by=callee.id))
        return call_id

    async def do(self, session: Session, call_id: CallId, event: PartyEvent) -> Outcome:
        """Let something happen to a call."""
        return await self.ask(session, InCall(call_id, event))

    async def passes(self, seconds: float) -> None:
        """Time goes by; what comes due is done."""
        self.clock.advance(seconds)
        await asyncio.sleep(0)

    def take(self, session: Session) -> list[Effect]:
        """What this session has heard since it was last asked."""
        mine = [heard.effect for heard in self.heard if heard.session == session.id]
        self.heard = [heard for heard in self.heard if heard.session != session.id]
        return mine

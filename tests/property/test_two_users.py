"""Two users, their sockets and an onlooker do whatever they like, in any order; the rules hold all the same.

The rules: a user is in at most one call; both sides agree on it; every accepted call ends exactly once for each
socket that took part; nobody outside a call hears of it; nothing is left behind when everybody has gone; what one
relays to the other arrives once and in order, after an absence too, or is refused and its number is told.
"""

import asyncio
from collections import defaultdict
from collections.abc import Coroutine
from contextlib import suppress
from itertools import pairwise
from typing import Any, TypeVar

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from service.control.session import Session
from service.domain.call import Call, State
from service.domain.effects import (
    Accepted,
    Effect,
    Ended,
    Incoming,
    Initiated,
    Joined,
    Rejected,
    RelayAnswer,
    RelayCandidate,
    RelayOffer,
)
from service.domain.events import (
    Accept,
    Answer,
    Candidate,
    HangUp,
    Media,
    MediaUp,
    Offer,
    PartyEvent,
    Reject,
)
from service.domain.ids import CallId, SessionId, UserId
from service.domain.requests import InCall, Initiate, Join, Relay, Request
from service.errors import SignallingError
from tests.control.harness import Rig

T = TypeVar("T")
USERS = ("alice", "bob")
users = st.sampled_from(USERS)
in_call_events: st.SearchStrategy[type[PartyEvent]] = st.sampled_from([Accept, Reject, HangUp, MediaUp])
relays: st.SearchStrategy[type[Offer | Answer | Candidate]] = st.sampled_from([Offer, Answer, Candidate])


Parcel = tuple[int, int]
"""What a relay carries here: its number, and how many bytes it has."""


def parcel(effect: Effect) -> Parcel | None:
    match effect:
        case RelayOffer(description=content) | RelayAnswer(description=content) | RelayCandidate(candidate=content):
            return int(content[-10:]), len(content)
        case _:
            return None


def other(user: str) -> str:
    return USERS[1 - USERS.index(user)]


class TwoUsers(RuleBasedStateMachine):
    """Any interleaving of what two users, the clock and the network can do."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.rig = Rig(ring_s=30, grace_s=10)
        self.sockets: dict[str, Session] = {}
        self.count = 0
        self.heard: list[tuple[SessionId, Effect]] = []
        self.owner: dict[SessionId, str] = {}
        self.relayed = 0
        self.waiting: dict[tuple[CallId, str], list[Parcel]] = defaultdict(list)
        self.overflowed: dict[tuple[CallId, str], int] = defaultdict(int)
        self.onlooker = self.run(self.rig.join("carol"))
        self.heard.clear()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run to the end, and what it wakes too."""
        result = self.loop.run_until_complete(work)
        self.loop.run_until_complete(asyncio.sleep(0))
        self.heard += self.rig.heard
        self.rig.heard.clear()
        return result

    def ask(self, session: Session, request: Request) -> None:
        """Ask; a refusal is as good as an answer here."""
        with suppress(SignallingError):
            self.run(self.rig.ask(session, request))

    def live_call(self) -> Call | None:
        """The call of the two."""
        return next(iter(self.run(self.rig.directory.live_calls())), None)

    def parcels_at(self, session: Session) -> list[Parcel]:
        """What a socket was brought."""
        brought = [parcel(effect) for at, effect in self.heard if at == session.id]
        return [one for one in brought if one is not None]

    def call_ids(self) -> list[CallId]:
        """All calls that ever were."""
        return [CallId(f"{number:032x}") for number in range(1, self.count + 1)]

    # --- what can happen ---

    @rule(user=users)
    def join(self, user: str) -> None:
        """A new socket, perhaps in the place of another."""
        old = self.sockets.get(user)
        session = self.rig.connect(f"{user}-{len(self.owner) + 1}")
        self.owner[session.id] = user
        self.sockets[user] = session
        self.run(self.rig.ask(session, Join(UserId(user))))
        joined = next(effect for at, effect in self.heard if at == session.id)
        assert isinstance(joined, Joined)
        key = (joined.call.call_id if joined.call else CallId(""), user)
        assert self.parcels_at(session) == self.waiting.pop(key, [])
        assert (joined.call.missed if joined.call else 0) == self.overflowed.pop(key, 0)
        if old is not None:
            self.run(self.rig.leave(old))

    @rule(user=users, goodbye=st.booleans())
    def leave(self, user: str, goodbye: bool) -> None:
        """The socket is gone."""
        session = self.sockets.pop(user, None)
        if session is not None:
            self.run(self.rig.leave(session, goodbye=goodbye))

    @precondition(lambda self: self.sockets)
    @rule(user=users, media=st.sampled_from(Media))
    def initiate(self, user: str, media: Media) -> None:
        """Call the other."""
        if user in self.sockets:
            self.count += 1  # an id is drawn for every attempt that gets as far as being placed
            self.ask(self.sockets[user], Initiate(UserId(other(user)), media))

    @precondition(lambda self: self.sockets and self.count)
    @rule(user=users, kind=in_call_events, data=st.data())
    def act(self, user: str, kind: type[PartyEvent], data: st.DataObject) -> None:
        """Do something to a call that is, was, or never came about."""
        if user in self.sockets:
            session = self.sockets[user]
            self.ask(session, InCall(data.draw(st.sampled_from(self.call_ids())), kind(by=session.id)))

    @precondition(lambda self: self.sockets)
    @rule(user=users, kind=relays, size_bytes=st.sampled_from([10, 10, 10, 30_000]), times=st.integers(1, 60))
    def relay(self, user: str, kind: type[Offer | Answer | Candidate], size_bytes: int, times: int) -> None:
        """Send some things to the other: it gets them now or, if it is away, later."""
        if user not in self.sockets:
            return
        call, receiver = self.live_call(), other(user)
        for _ in range(times):
            self.relayed += 1
            sent = (self.relayed, size_bytes)
            taken = self.relay_one(self.sockets[user], receiver, kind, sent)
            role = call.role_of_user(UserId(receiver)) if call else None
            if call is None or role is None:
                assert not taken
            elif call.party(role).away_until_s is None:
                assert taken
                assert self.parcels_at(self.sockets[receiver])[-1] == sent
            else:
                self.note_missed((call.id, receiver), sent, taken)

    @precondition(lambda self: self.live_call() is None)
    @rule(user=users)
    def talk(self, user: str) -> None:
        """Get into an answered call, which chance alone seldom does."""
        for name in USERS:
            if name not in self.sockets:
                self.join(name)
        self.initiate(user, Media.AUDIO)
        call, callee = self.live_call(), self.sockets[other(user)]
        assert call is not None
        self.ask(callee, InCall(call.id, Accept(by=callee.id)))

    @precondition(lambda self: self.live_call() is not None)
    @rule(
        user=users, kind=relays, size_bytes=st.sampled_from([10, 30_000]), times=st.integers(1, 60), twice=st.booleans()
    )
    def be_away(
        self, user: str, kind: type[Offer | Answer | Candidate], size_bytes: int, times: int, twice: bool
    ) -> None:
        """Be lost and come back soon; the other sends something meanwhile."""
        self.leave(user, goodbye=False)
        for _ in range(1 + twice):
            self.relay(other(user), kind, size_bytes, times)
        self.join(user)

    def relay_one(self, session: Session, receiver: str, kind: type[Offer | Answer | Candidate], sent: Parcel) -> bool:
        """Whether it was taken."""
        number, size_bytes = sent
        request = Relay(UserId(receiver), None, kind(session.id, b"%0*d" % (size_bytes, number)))
        try:
            self.run(self.rig.ask(session, request))
        except SignallingError:
            return False
        return True

    def note_missed(self, key: tuple[CallId, str], sent: Parcel, taken: bool) -> None:
        """It is kept, or counted; and after one that is counted none is kept."""
        if taken:
            assert not self.overflowed.get(key)
            self.waiting[key].append(sent)
        else:
            self.overflowed[key] += 1
            waiting = self.waiting.get(key, [])
            assert len(waiting) >= 100 or sum(size for _, size in (*waiting, sent)) > 65_536 or self.overflowed[key] > 1

    @precondition(lambda self: self.count)
    @rule(kind=in_call_events, data=st.data())
    def meddle(self, kind: type[PartyEvent], data: st.DataObject) -> None:
        """The onlooker tries its luck with somebody's call."""
        call_id = data.draw(st.sampled_from(self.call_ids()))
        before = self.run(self.rig.directory.load(call_id))
        self.ask(self.onlooker, InCall(call_id, kind(by=self.onlooker.id)))
        assert self.run(self.rig.directory.load(call_id)) == before

    @rule(seconds=st.sampled_from([1.0, 9.0, 11.0, 31.0]))
    def passes(self, seconds: float) -> None:
        """Time goes by."""
        self.run(self.rig.passes(seconds))

    # --- what must hold ---

    @invariant()
    def a_user_is_in_at_most_one_call_and_both_sides_agree(self) -> None:
        """The directory has one call at the most, and both users or none point to it."""
        calls = self.run(self.rig.directory.live_calls())
        assert len(calls) <= 1
        mine = [self.run(self.rig.directory.presence(UserId(user))).call for user in USERS]
        assert mine == ([calls[0], calls[0]] if calls else [None, None])
        for call in calls:
            assert call.state is not State.ENDED
            for party in (call.caller, call.callee):
                assert set(party.sessions) <= set(self.run(self.rig.directory.presence(party.user)).sessions)
                assert bool(party.sessions) != (party.away_until_s is not None)

    @invariant()
    def nobody_else_hears_of_it(self) -> None:
        """The onlooker hears nothing at all."""
        assert all(session != self.onlooker.id for session, _ in self.heard)

    @invariant()
    def nothing_is_brought_twice_or_out_of_order(self) -> None:
        """To a user, whichever sockets it has in turn."""
        for user in USERS:
            brought = [parcel(effect) for session, effect in self.heard if self.owner.get(session) == user]
            numbers = [one[0] for one in brought if one is not None]
            assert all(earlier < later for earlier, later in pairwise(numbers))

    @invariant()
    def a_call_ends_once_for_each_socket_that_heard_of_it(self) -> None:
        """Never twice, and nothing of a call comes after its end."""
        over: set[tuple[SessionId, CallId]] = set()
        for session, effect in self.heard:
            call_id: CallId | None = getattr(effect, "call_id", None)
            if call_id is None or isinstance(effect, Joined):
                continue
            assert (session, call_id) not in over
            if isinstance(effect, Ended | Rejected):
                over.add((session, call_id))

    @invariant()
    def an_accepted_call_that_is_over_was_ended_for_both(self) -> None:
        """Every socket that heard of the acceptance hears of the end, unless it is gone or the call goes on."""
        live = {call.id for call in self.run(self.rig.directory.live_calls())}
        ended = {(s, e.call_id) for s, e in self.heard if isinstance(e, Ended | Rejected)}
        rung = {(s, e.call_id) for s, e in self.heard if isinstance(e, Accepted | Incoming | Initiated)}
        for session, call_id in rung:
            still_here = session in {socket.id for socket in self.sockets.values()}
            if still_here and call_id not in live:
                assert (session, call_id) in ended

    def teardown(self) -> None:
        """Everybody goes, and nothing is left."""
        for user in list(self.sockets):
            self.run(self.rig.leave(self.sockets.pop(user), goodbye=True))
        self.run(self.rig.passes(1000))
        assert list(self.run(self.rig.directory.live_calls())) == []
        self.run(self.rig.leave(self.onlooker))
        self.a_call_ends_once_for_each_socket_that_heard_of_it()
        self.loop.close()


TwoUsers.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestTwoUsers = TwoUsers.TestCase

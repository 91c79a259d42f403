"""Two users, their sockets and an onlooker do whatever they like, in any order; the rules hold all the same.

The rules: a user is in at most one call; both sides agree on it; every accepted call ends exactly once for each
socket that took part; nobody outside a call hears of it; nothing is left behind when everybody has gone.
"""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from service.control.session import Session
from service.domain.call import State
from service.domain.effects import Accepted, Effect, Ended, Incoming, Initiated, Joined, Rejected
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
    @rule(user=users, kind=relays)
    def relay(self, user: str, kind: type[Offer | Answer | Candidate]) -> None:
        """Send something to the other."""
        if user in self.sockets:
            session = self.sockets[user]
            self.ask(session, Relay(UserId(other(user)), None, kind(session.id, b"{}")))

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

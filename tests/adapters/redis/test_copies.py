"""What a node knows by itself."""

import pytest
from msgspec.structs import replace

from service.adapters.redis import copies as module
from service.adapters.redis.copies import Copies, Copy, RouteTable
from service.domain.call import step
from service.domain.events import Accept, HangUp
from service.domain.ids import CallId, SessionId
from tests.domain.playbook import ALICE, ALICE_ID, BOB, BOB_ID, CALL, STARTED_S, ringing


def seated() -> Copies:
    copies = Copies()
    copies.sit(ALICE_ID, ALICE)
    return copies


def test_a_call_is_kept_while_one_of_its_users_is_here() -> None:
    copies = seated()
    copies.keep(Copy(ringing(), {}))
    copies.sit(BOB_ID, BOB)
    assert copies.rise(ALICE_ID, ALICE)
    assert copies.get(CALL) is not None
    assert copies.rise(BOB_ID, BOB)
    assert copies.get(CALL) is None
    assert list(copies) == []


def test_a_call_between_others_is_not_kept() -> None:
    copies = Copies()
    copies.keep(Copy(ringing(), {}))
    assert list(copies) == []


def test_late_news_does_not_bring_a_call_back() -> None:
    copies = seated()
    call = ringing()
    copies.keep(Copy(step(call, HangUp(by=ALICE), STARTED_S).call, {}))
    copies.keep(Copy(step(call, Accept(by=BOB), STARTED_S).call, {}))
    assert list(copies) == []


def test_a_new_call_of_a_user_takes_the_place_of_an_old_one() -> None:
    copies = seated()
    new = replace(ringing(), id=CallId("d" * 32))
    copies.keep(Copy(ringing(), {}))
    copies.keep(Copy(new, {}))
    assert [copy.call for copy in copies] == [new]


def test_what_is_remembered_of_ended_calls_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_OVER", 2)
    copies = seated()
    calls = [replace(ringing(), id=CallId(letter * 32)) for letter in "abc"]
    for call in calls:
        copies.end(call.id)
    kept = []
    for call in calls:
        copies.keep(Copy(call, {}))
        kept.append(copies.get(call.id) is not None)
    assert kept == [True, False, False]


def test_the_routes_that_were_not_asked_for_longest_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_ROUTES", 2)
    routes = RouteTable()
    a, b, c = (SessionId(name) for name in "abc")
    routes.learn({a: "one", b: "two"})
    assert routes.node_of(a) == "one"
    routes.learn({c: "three"})
    assert [routes.node_of(session) for session in (a, b, c)] == ["one", None, "three"]

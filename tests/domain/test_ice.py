"""Passwords for TURN servers."""

import itertools

import msgspec
import pytest

from service.domain.ice import IceGrant, IceServer, IceServers
from service.domain.ids import CallId, UserId

SECRET = "a secret that coturn has as well...."  # noqa: S105 - made up
STUN = ("stun:stun.example.com",)
TURN = ("turn:turn.example.com?transport=udp", "turns:turn.example.com?transport=tcp")
ALICE, BOB = UserId("alice"), UserId("bob")
CALL = CallId("7d44a1d0b5c94ee0a6f0d3c0a1b2c3d4")
NOW_S = 1_700_000_000.9


def servers(secret: str = SECRET, stun: tuple[str, ...] = STUN, turn: tuple[str, ...] = TURN) -> IceServers:
    return IceServers(stun_urls=stun, turn_urls=turn, turn_secret=secret, turn_ttl_s=600)


def relay(user: UserId = ALICE, call: CallId | None = CALL, secret: str = SECRET, now_s: float = NOW_S) -> IceServer:
    return servers(secret).for_user(user, call, now_s).servers[-1]


def test_a_password_as_openssl_makes_it() -> None:
    """`openssl dgst -sha256 -hmac` of `turn user`, a zero byte and the user; `-sha1` of the username."""
    username = "1700000600:65a301b99160d832c7760443c8bd7e02:7d44a1d0b5c94ee0a6f0d3c0a1b2c3d4"
    password = "+O94JH5+l2Rf+h+Nh1LBvs/EJYY="  # noqa: S105 - made with a made-up secret
    assert relay() == IceServer(TURN, username, password)


def test_a_user_gets_stun_and_turn_for_the_time_that_is_said() -> None:
    grant = servers().for_user(ALICE, None, NOW_S)
    assert [server.urls for server in grant.servers] == [STUN, TURN]
    assert grant.ttl_s == 600
    assert str(grant.servers[1].username).startswith("1700000600:")


def test_somebody_whose_name_is_not_proved_gets_no_relay() -> None:
    assert servers().for_anybody() == IceGrant((IceServer(STUN),))


@pytest.mark.parametrize(("stun", "turn"), [((), ()), (STUN, ()), ((), TURN)])
def test_what_is_not_set_is_not_named(stun: tuple[str, ...], turn: tuple[str, ...]) -> None:
    grant = servers(stun=stun, turn=turn).for_user(ALICE, None, NOW_S)
    assert [server.urls for server in grant.servers] == [urls for urls in (stun, turn) if urls]
    assert (grant.ttl_s is None) == (not turn)


def test_an_entry_without_a_password_has_no_field_for_one() -> None:
    assert msgspec.to_builtins(servers().for_anybody().servers) == ({"urls": STUN},)


def test_user_call_time_and_secret_are_bound_by_the_password() -> None:
    kinds = itertools.product((ALICE, BOB), (CALL, None), (SECRET, f"{SECRET}!"), (NOW_S, NOW_S + 1))
    made = [relay(user, call, secret, now_s) for user, call, secret, now_s in kinds]
    assert len({server.credential for server in made}) == len(made)


def test_the_user_is_not_named_but_told_apart() -> None:
    names = {user: str(relay(user).username) for user in (ALICE, BOB)}
    assert not any(user in name for user, name in names.items())
    first, second = (servers().pseudonym(user) for user in (ALICE, BOB))
    assert first != second
    assert first in str(relay(ALICE, None, now_s=NOW_S + 500).username)
    assert servers("another").pseudonym(ALICE) != first


def test_a_user_id_of_any_characters() -> None:
    user = UserId("\U0001f600:1:2 \n")
    assert str(relay(user, None).username).count(":") == 1


def test_the_secret_is_not_shown() -> None:
    assert SECRET not in repr(servers())

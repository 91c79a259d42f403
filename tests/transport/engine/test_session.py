import json
import math

import pytest

from service.transport.engine.packets import ProtocolError
from service.transport.engine.session import Due, Heartbeat, Probe, Received, Session, open_packet

BEAT = Heartbeat(interval_s=25.0, timeout_s=20.0)
START_S = 1000.0


@pytest.fixture
def session() -> Session:
    return Session(BEAT, START_S)


@pytest.mark.parametrize(
    ("packet", "asks_for"),
    [
        ("4", Received.MESSAGE),
        ("4hello", Received.MESSAGE),
        ("42", Received.MESSAGE),
        ("3", Received.PONG),
        ("1", Received.CLOSE),
        ("6", Received.NOTHING),
    ],
)
def test_what_a_client_may_send(session: Session, packet: str, asks_for: Received) -> None:
    assert session.receive(packet) is asks_for


@pytest.mark.parametrize(
    "packet",
    ["", "0", '0{"sid":"x"}', "1x", "2", "2probe", "3probe", "3x", "5", "6x", "7", "9", "b", "bAQ==", "x", "٤"],
)
def test_what_a_client_may_not_send(session: Session, packet: str) -> None:
    with pytest.raises(ProtocolError, match=r"^a client sends pong, message, close or noop$"):
        session.receive(packet)


def test_a_ping_goes_out_at_the_interval_and_not_before(session: Session) -> None:
    assert session.deadline_s == START_S + 25
    assert session.wake(START_S + 24.9) is Due.NOTHING
    assert session.deadline_s == START_S + 25
    assert session.wake(START_S + 25) is Due.PING
    assert session.deadline_s == START_S + 45


def test_a_ping_may_be_early_and_counts_as_sent(session: Session) -> None:
    assert session.wake(START_S + 24.4, 0.5) is Due.NOTHING
    assert session.wake(START_S + 24.5, 0.5) is Due.PING
    assert session.deadline_s == START_S + 44.5
    assert session.wake(START_S + 25, 0.5) is Due.NOTHING


def test_a_silent_client_is_never_cut_short(session: Session) -> None:
    session.wake(START_S + 25)
    assert session.wake(START_S + 44.9, 0.5) is Due.NOTHING
    assert session.wake(START_S + 45, 0.5) is Due.TIMED_OUT


def test_with_no_early_time_at_all_a_ping_never_goes_out_but_the_timeout_is_seen(session: Session) -> None:
    """This is how a request looks whether its session is still alive."""
    assert session.wake(START_S + 1000, -math.inf) is Due.NOTHING
    session.wake(START_S + 1000)
    assert session.wake(START_S + 1019, -math.inf) is Due.NOTHING
    assert session.wake(START_S + 1020, -math.inf) is Due.TIMED_OUT


def test_a_late_ping_gives_the_whole_time_to_answer(session: Session) -> None:
    assert session.wake(START_S + 100) is Due.PING
    assert session.wake(START_S + 119) is Due.NOTHING
    assert session.wake(START_S + 120) is Due.TIMED_OUT


def test_a_pong_says_how_long_it_took_and_the_next_ping_comes_an_interval_later(session: Session) -> None:
    session.wake(START_S + 25)
    assert session.answered(START_S + 27) == 2.0
    assert session.deadline_s == START_S + 52
    assert session.wake(START_S + 51) is Due.NOTHING
    assert session.wake(START_S + 52) is Due.PING
    assert session.answered(START_S + 52.25) == 0.25


def test_a_pong_that_nobody_asked_for_took_no_time_that_is_known(session: Session) -> None:
    assert math.isnan(session.answered(START_S + 10))
    session.wake(START_S + 35)
    assert session.answered(START_S + 36) == 1.0
    assert math.isnan(session.answered(START_S + 37))


def test_messages_are_no_sign_of_life(session: Session) -> None:
    session.wake(START_S + 25)
    session.receive("4hello")
    assert session.wake(START_S + 45) is Due.TIMED_OUT


# --- upgrade -----------------------------------------------------------------------------------------------


def test_a_probe_and_then_the_upgrade() -> None:
    probe = Probe()
    assert probe.receive("2probe") is False
    assert probe.receive("5") is True


@pytest.mark.parametrize(
    "packets",
    [["5"], ["2"], ["3probe"], ["4hello"], [""], ["2probe", "2probe"], ["2probe", "4hello"], ["2probe", "5x"]],
    ids=str,
)
def test_an_upgrade_out_of_turn(packets: list[str]) -> None:
    probe = Probe()
    for packet in packets[:-1]:
        probe.receive(packet)
    with pytest.raises(ProtocolError, match=r"^an upgrade is a probe and an upgrade packet$"):
        probe.receive(packets[-1])


@pytest.mark.parametrize(("can_upgrade", "upgrades"), [(True, ["websocket"]), (False, [])])
def test_the_open_packet_speaks_in_milliseconds(upgrades: list[str], *, can_upgrade: bool) -> None:
    packet = open_packet("a-sid", Heartbeat(0.3, 0.2), 1_000_000, can_upgrade=can_upgrade)
    assert packet[:1] == b"0"
    assert json.loads(packet[1:]) == {
        "sid": "a-sid",
        "upgrades": upgrades,
        "pingInterval": 300,
        "pingTimeout": 200,
        "maxPayload": 1_000_000,
    }

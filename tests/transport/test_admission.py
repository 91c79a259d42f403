import pytest

from service.domain.budget import Rate
from service.transport.admission import FULL_RETRY_S, Admission, AdmissionLimits, Turned

HERE, THERE = "192.0.2.1", "2001:db8::1"


def codes(admission: Admission, *addresses: str, now_s: float = 100.0) -> list[str | None]:
    """What is said to attempts from these addresses, one after the other; who may is let in."""
    said: list[str | None] = []
    for address in addresses:
        turned = admission.judge(address, now_s)
        if turned is None:
            admission.opened(address)
        said.append(turned.code if turned else None)
    return said


def test_without_limits_everybody_may_come() -> None:
    assert codes(Admission(AdmissionLimits()), *[HERE] * 10_000) == [None] * 10_000


def test_the_node_holds_so_many() -> None:
    admission = Admission(AdmissionLimits(connections=2))
    assert codes(admission, HERE, THERE, HERE, THERE) == [None, None, "server_full", "server_full"]
    admission.closed(HERE)
    assert codes(admission, THERE, HERE) == [None, "server_full"]
    assert admission.judge(HERE, 100.0) == Turned(503, "server_full", "The server is full", FULL_RETRY_S)


def test_one_address_holds_so_many_and_leaves_the_others_alone() -> None:
    admission = Admission(AdmissionLimits(connections_per_address=2))
    assert codes(admission, HERE, HERE, HERE, THERE) == [None, None, "too_many_connections", None]
    admission.closed(HERE)
    assert codes(admission, HERE, HERE) == [None, "too_many_connections"]
    turned = Turned(429, "too_many_connections", "Too many connections are open", FULL_RETRY_S)
    assert admission.judge(HERE, 100.0) == turned


@pytest.mark.parametrize("limits", [AdmissionLimits(), AdmissionLimits(connections=1, connections_per_address=1)])
def test_who_comes_and_goes_leaves_nothing_behind(limits: AdmissionLimits) -> None:
    admission = Admission(limits)
    for number in range(100):
        assert codes(admission, f"192.0.2.{number}") == [None]
        admission.closed(f"192.0.2.{number}")


def test_one_address_opens_so_many_in_a_time() -> None:
    admission = Admission(AdmissionLimits(connects=Rate(2, 60.0)))
    assert codes(admission, HERE, HERE, HERE, THERE) == [None, None, "rate_limited", None]
    assert codes(admission, HERE, now_s=129.0) == ["rate_limited"]
    assert codes(admission, HERE, HERE, now_s=130.0) == [None, "rate_limited"]


@pytest.mark.parametrize(("now_s", "retry_after_s"), [(100.0, 30), (100.5, 30), (101.0, 29), (129.5, 1)])
def test_the_time_to_wait_is_in_whole_seconds_and_enough(now_s: float, retry_after_s: int) -> None:
    admission = Admission(AdmissionLimits(connects=Rate(2, 60.0)))
    codes(admission, HERE, HERE)
    turned = Turned(429, "rate_limited", "Too many connections are opened", retry_after_s)
    assert admission.judge(HERE, now_s) == turned
    assert admission.judge(HERE, now_s + retry_after_s) is None


def test_attempts_that_another_limit_refuses_count_towards_the_rate() -> None:
    admission = Admission(AdmissionLimits(connections=1, connects=Rate(2, 60.0)))
    assert codes(admission, HERE, HERE, HERE) == [None, "server_full", "rate_limited"]


def test_the_rate_is_of_attempts_and_not_of_who_is_still_there() -> None:
    admission = Admission(AdmissionLimits(connects=Rate(2, 60.0)))
    codes(admission, HERE, HERE)
    admission.closed(HERE)
    admission.closed(HERE)
    assert codes(admission, HERE) == ["rate_limited"]

import itertools

import pytest

from service.domain.quality import CallStats, CandidatePair, CandidateType, IceOutcome, IceProtocol, IceStage, Path

HOST, SRFLX, PRFLX, RELAY = CandidateType


@pytest.mark.parametrize(("local", "remote"), list(itertools.product(CandidateType, repeat=2)))
def test_the_way_that_media_takes_over_a_pair(local: CandidateType, remote: CandidateType) -> None:
    path = CandidatePair(local, remote, IceProtocol.UDP).path
    assert (path is Path.RELAY) is (RELAY in (local, remote))
    assert (path is Path.HOST) is (local is remote is HOST)


@pytest.mark.parametrize("local", CandidateType)
def test_only_a_relay_is_reached_over_tls(local: CandidateType) -> None:
    if local is RELAY:
        assert CandidatePair(local, HOST, IceProtocol.TLS).path is Path.RELAY
        return
    with pytest.raises(ValueError, match="only a relay"):
        CandidatePair(local, RELAY, IceProtocol.TLS)


def test_a_report_says_something() -> None:
    with pytest.raises(ValueError, match="at least one field"):
        CallStats()
    assert CallStats(inbound_bps=0).inbound_bps == 0


@pytest.mark.parametrize("outcome", [None, *IceOutcome])
def test_where_it_failed_goes_with_a_failure(outcome: IceOutcome | None) -> None:
    if outcome is IceOutcome.FAILED:
        assert CallStats(ice=outcome, failed_in=IceStage.CHECKING).failed_in is IceStage.CHECKING
        return
    with pytest.raises(ValueError, match="failedIn"):
        CallStats(ice=outcome, failed_in=IceStage.CHECKING)

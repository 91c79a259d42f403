import pytest

from observability.fanout import Fanout
from service.domain.ids import SessionId
from service.ports import LinkOpened, Observer


class Counts(Observer):
    """Counts what it sees."""

    def __init__(self) -> None:
        self.seen = 0

    def link_opened(self, record: LinkOpened) -> None:
        """See `Observer.link_opened`."""
        self.seen += 1


class Breaks(Observer):
    """Cannot bear to see a message."""

    def message_received(self, size_bytes: int) -> None:
        """See `Observer.message_received`."""
        raise ValueError("broken")


OPENED = LinkOpened(SessionId("s"), "polling", 0.1)


def test_everybody_sees_in_turn_and_unseen_sights_cost_nothing() -> None:
    one, other = Counts(), Counts()
    fanout = Fanout(Observer, {"one": one, "other": other}, pytest.fail)
    fanout.front.link_opened(OPENED)
    fanout.front.message_sent(3)
    assert (one.seen, other.seen) == (1, 1)
    assert set(vars(fanout.front)) == {"link_opened"}


def test_who_raises_is_taken_out_counted_and_logged_and_the_others_go_on(caplog: pytest.LogCaptureFixture) -> None:
    counts, failed = Counts(), list[str]()
    fanout = Fanout(Observer, {"broken": Breaks(), "counts": counts}, failed.append)
    fanout.front.message_received(1)
    fanout.front.message_received(1)
    fanout.front.link_opened(OPENED)
    assert failed == ["broken"]
    assert fanout.names == ("counts",)
    assert counts.seen == 1
    assert "observer broken failed and was taken out: ValueError" in caplog.text


def test_an_observer_watches_nothing_by_default() -> None:
    observer = Observer()
    observer.link_opened(OPENED)
    observer.message_sent(1)

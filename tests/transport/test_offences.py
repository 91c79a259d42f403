import logging

import pytest

from service.transport.offences import LINES, OffenceLog

NAME = "tests.offences"
RULE = "a payload is JSON"


@pytest.fixture
def offences() -> OffenceLog:
    return OffenceLog(logging.getLogger(NAME))


def test_an_offence_is_one_line_with_the_rule_and_the_transport(
    offences: OffenceLog, caplog: pytest.LogCaptureFixture
) -> None:
    offences.tell(RULE, "polling", 100.0)
    (line,) = caplog.records
    assert (line.name, line.levelno) == (NAME, logging.WARNING)
    assert line.getMessage() == f"connection closed, the client broke a rule: {RULE}"
    assert line.__dict__["transport"] == "polling"


def test_a_flood_of_offences_is_a_few_lines_and_a_number(
    offences: OffenceLog, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(1000):
        offences.tell(RULE, "websocket", 100.0)
    assert len(caplog.records) == LINES.number
    caplog.clear()
    offences.tell(RULE, "websocket", 100.0 + LINES.period_s)
    offences.tell(RULE, "websocket", 100.0 + LINES.period_s)
    unsaid = 1000 - LINES.number
    told = f"connection closed, the client broke a rule: {RULE}"
    assert caplog.messages == [f"{told} (and {unsaid} more, not logged)", told]


def test_however_long_it_goes_on_there_are_not_more_lines_than_the_rate(
    offences: OffenceLog, caplog: pytest.LogCaptureFixture
) -> None:
    for tenth in range(1000):
        offences.tell(RULE, "websocket", 100.0 + tenth / 10)
    assert len(caplog.records) <= LINES.number + LINES.per_second * 100
    assert len(caplog.records) >= LINES.per_second * 99

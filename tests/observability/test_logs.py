import io
import json
import logging
import re

import pytest

from observability.logs import MAX_FAILURE_LINES_PER_S, LineFormatter, LogWriter, readable
from observability.spans import root_span_id
from service.adapters.memory.clock import ManualClock
from service.domain.ids import CallId
from tests.observability.node import ObservedNode


async def test_a_line_for_each_transition_with_the_ids_of_its_trace(node: ObservedNode) -> None:
    alice, bob = node.join("alice"), node.join("bob")
    call_id = await node.connected_call(alice, bob, ("alice", "bob"))
    bob.say("call:end", callId=call_id)
    lines = node.lines()
    assert [line["message"] for line in lines] == ["call placed", "call answered", "call connected", "call ended"]
    assert {(line["trace_id"], line["span_id"], line["level"]) for line in lines} == {
        (call_id, root_span_id(CallId(call_id)), "info")
    }
    ended = lines[-1]
    assert (ended["reason"], ended["fault"], ended["ended_in"], ended["lasted_s"]) == (
        "hangup",
        "none",
        "connected",
        2.75,
    )
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", ended["time"])


async def test_a_line_for_each_failure(node: ObservedNode) -> None:
    alice = node.join("alice")
    alice.say("call:end", callId="f" * 32)
    alice.say("call:end", callId="mine, made of anything")
    node.lines()
    refused, unknown = node.lines()
    assert (refused["event"], refused["outcome"], refused["trace_id"]) == ("call:end", "call_not_found", "f" * 32)
    assert "trace_id" not in unknown
    assert "made of anything" not in node.stream.getvalue()


async def test_a_flood_of_failures_is_counted_in_one_line(node: ObservedNode) -> None:
    alice = node.join("alice")
    for _ in range(MAX_FAILURE_LINES_PER_S + 30):
        alice.say("nonsense")
    await node.passes(1)
    alice.say("nonsense")
    lines = node.lines()
    assert len(lines) == MAX_FAILURE_LINES_PER_S + 2
    (summary,) = (line for line in lines if line["message"].startswith("more"))
    assert summary["count"] == 30


async def test_an_event_that_we_failed_is_an_error_without_the_exceptions_text(
    node: ObservedNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise LookupError(private)

    private = "something of a user's"
    alice = node.join("alice")
    with monkeypatch.context() as patch:
        patch.setattr(node.service.directory, "load", broken)
        alice.say("call:end", callId="f" * 32)
    trace, line = node.lines()
    assert (line["level"], line["message"], line["error_type"]) == ("error", "event failed", "LookupError")
    assert (trace["logger"], trace["error_type"]) == ("service.transport.gateway", "LookupError")
    assert trace["trace_id"] == line["trace_id"] == "f" * 32
    assert "in broken" in trace["exception"]
    assert private not in node.stream.getvalue()


def test_lines_wait_a_moment_and_are_written_together() -> None:
    clock, stream = ManualClock(), io.StringIO()
    writer = LogWriter(stream, clock, level="info", people=False)
    writer.write({"level": "info", "message": "one"})
    writer.write({"level": "info", "message": "two"})
    assert stream.getvalue() == ""
    clock.advance(0.1)
    assert stream.getvalue().count("\n") == 2
    writer.flush()
    assert stream.getvalue().count("\n") == 2


def test_lines_below_the_level_are_not_written() -> None:
    stream = io.StringIO()
    writer = LogWriter(stream, ManualClock(), level="warning", people=False)
    for level in ("debug", "info", "warning", "error"):
        writer.write({"level": level, "message": level})
    writer.flush()
    assert [json.loads(line)["level"] for line in stream.getvalue().splitlines()] == ["warning", "error"]
    assert (writer.writes("info"), writer.writes("error")) == (False, True)


def test_the_form_for_people() -> None:
    line: dict[str, object] = {"level": "info", "message": "call ended", "reason": "hangup", "span_id": "ab"}
    assert readable(1.5, line) == "00:00:01.500 info    call ended reason=hangup\n"


def test_a_line_of_logging_for_people_has_its_stack_below() -> None:
    private = "something of a user's"

    def breaks() -> None:
        raise ValueError(private)

    with pytest.raises(ValueError) as caught:  # noqa: PT011 - any text will do
        breaks()
    problem = (caught.type, caught.value, caught.tb)
    record = logging.LogRecord("x", logging.ERROR, __file__, 1, "it broke", (), problem)
    text = LineFormatter(people=True).format(record)
    assert text.splitlines()[0].endswith("error   it broke error_type=ValueError")
    assert text.endswith("ValueError")
    assert private not in text

"""A new event type is measured, traced, logged and documented without a line about it in observability/."""

import json
import subprocess
import sys

from tests.support.needs import ROOT


def test_a_new_event_is_everywhere_from_the_day_it_is_declared() -> None:
    command = [sys.executable, "-m", "tests.observability.new_event"]
    seen = json.loads(subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout)
    metrics = seen["metrics"]
    assert metrics['events_total{event="call:hold",outcome="ok"}'] == 1
    assert metrics['events_total{event="call:hold",outcome="call_not_found"}'] == 1
    assert metrics['events_total{event="call:hold",outcome="invalid_payload"}'] == 1
    assert metrics['event_duration_seconds_count{event="call:hold"}'] == 3
    assert "call:hold" in seen["spans"]
    assert [line["outcome"] for line in seen["lines"]] == ["call_not_found", "invalid_payload"]
    (error,) = seen["errors"]
    assert (error["message"], error["field"]) == ("Failed to hold call", "callId")
    assert seen["documented"] is True

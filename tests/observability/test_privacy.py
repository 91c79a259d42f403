"""Nothing private in any metric, span or log line of a run that has everything in it."""

from pathlib import Path

from service.domain.ids import CallId
from service.transport.ladder import ladder
from service.transport.link import CloseReason
from tests.observability.node import ObservedNode

SECRETS = ("zaphod", "trillian", "secret-offer", "secret-answer", "192.0.2.7", "candidate:1", "eyJhbGciOi")


async def test_nothing_private_leaves(tmp_path: Path) -> None:
    records = tmp_path / "calls.jsonl"
    node = ObservedNode(reconnect_grace_s=5, admin_token="t" * 32, call_records=str(records))
    caller, callee = node.join("zaphod"), node.join("trillian")
    names = ("zaphod", "trillian")
    call_id = await node.connected_call(caller, callee, names)
    callee.gone(CloseReason.TRANSPORT_LOST)
    await node.passes(2)
    callee = node.join("trillian")
    pair = {"local": "host", "remote": "relay", "protocol": "udp"}
    caller.say("call:quality", callId=call_id, stats={"ice": "connected", "pair": pair, "roundTripTime": 0.1})
    caller.say("call:quality", callId=call_id, stats={"jitter": 0.1, "address": "192.0.2.7"})
    caller.say("call:quality", callId=call_id, stats={"jitter": 0.1, "192.0.2.7": "candidate:1"})
    caller.say("call:quality", callId=call_id, stats={"pair": {**pair, "local": "192.0.2.7"}})
    caller.say("call:quality", callId=call_id, stats={"ice": "failed", "failedIn": "checking"})
    caller.say("call:end", callId=call_id)
    callee.say("call:reject", callId=node.call(caller, "trillian"))
    caller.say("call:initiate", to="zaphod", callType="audio")
    caller.say("call:initiate", to=["trillian"], callType="eyJhbGciOi")
    caller.say("eyJhbGciOi", userId="trillian")
    caller.say("call:end", callId="zaphod-trillian")
    caller.say("call:offer", offer="secret-offer", to="trillian", from_="trillian")
    node.connect("socket-of-nobody").abort(CloseReason.PROTOCOL_ERROR, "a rule")
    spans = await node.spans()
    told = node.openmetrics() + node.stream.getvalue() + "".join(str(line) for line in node.lines())
    told += "".join(span.to_json() for span in spans)
    explanation = node.telemetry.explain(CallId(call_id))
    assert explanation is not None
    told += str(explanation) + ladder(explanation)
    node.telemetry.flush_call_records()
    written = records.read_bytes().decode()
    assert call_id in written
    told += written
    node.close()
    assert spans
    assert call_id in told
    assert [secret for secret in SECRETS if secret in told] == []

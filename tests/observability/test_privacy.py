"""Nothing private in any metric, span or log line of a run that has everything in it."""

from service.transport.link import CloseReason
from tests.observability.node import ObservedNode

SECRETS = ("zaphod", "trillian", "secret-offer", "secret-answer", "192.0.2.7", "candidate:1", "eyJhbGciOi")


async def test_nothing_private_leaves() -> None:
    node = ObservedNode(reconnect_grace_s=5)
    caller, callee = node.join("zaphod"), node.join("trillian")
    names = ("zaphod", "trillian")
    call_id = await node.connected_call(caller, callee, names)
    callee.gone(CloseReason.TRANSPORT_LOST)
    await node.passes(2)
    callee = node.join("trillian")
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
    node.close()
    assert spans
    assert call_id in told
    assert [secret for secret in SECRETS if secret in told] == []

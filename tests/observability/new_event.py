"""A product with one more event: adds a message type before the rest is imported, uses it, prints what was seen."""

import asyncio
import json
import sys
from typing import ClassVar

from service.domain.events import MediaUp
from service.domain.ids import SessionId
from service.domain.requests import InCall, Request
from service.protocol import client
from service.protocol.fields import Id


class CallHold(client.ClientMessage, frozen=True):
    """Put the call on hold. It exists in this program only."""

    event = "call:hold"
    failure = "Failed to hold call"
    errors: ClassVar = client.CallConnected.errors
    call_id: Id

    def request(self, session: SessionId) -> Request:
        """See `ClientMessage.request`."""
        return InCall(self.call_id, MediaUp(session))


async def use_it() -> dict[str, object]:
    """One call with the new event in it."""
    from service.export.protocol_reference import protocol_reference  # noqa: PLC0415 - after the type is added
    from tests.observability.node import ObservedNode  # noqa: PLC0415 - after the type is added

    node = ObservedNode()
    alice, bob = node.join("alice"), node.join("bob")
    call_id = node.call(alice, "bob")
    bob.say("call:accept", callId=call_id)
    alice.say("call:hold", callId=call_id)
    bob.say("call:hold", callId="f" * 32)
    alice.say("call:hold")
    alice.say("call:end", callId=call_id)
    spans = await node.spans()
    metrics = {name: value for name, value in node.scrape().items() if "call:hold" in name and "bucket" not in name}
    seen: dict[str, object] = {
        "spans": [span.name for span in spans],
        "lines": [line for line in node.lines() if line.get("event") == "call:hold"],
        "metrics": metrics,
        "errors": [payload for name, payload in alice.heard if name == "error"],
        "documented": "`call:hold`" in protocol_reference(),
    }
    node.close()
    return seen


if __name__ == "__main__":
    client.CLIENT_MESSAGES = (*client.CLIENT_MESSAGES, CallHold)
    json.dump(asyncio.run(use_it()), sys.stdout)

"""A gateway on the memory adapters whose observer is the real telemetry, on a clock moved by hand."""

import asyncio
import io
import json
import logging
import threading
from collections.abc import Sequence
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from prometheus_client import generate_latest
from prometheus_client.exposition import choose_encoder

from observability.telemetry import NO_METRICS_PORT, Telemetry, TelemetryOptions
from service.adapters.memory.clock import ManualClock
from service.bootstrap import Node, compose
from service.config import Settings
from service.domain.ids import SessionId
from service.ports import Identity
from service.transport.link import CloseReason


class KeptSpans(SpanExporter):
    """An exporter that keeps what it is given, or waits, or fails."""

    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []
        self.result = SpanExportResult.SUCCESS
        self.gate = threading.Event()
        self.gate.set()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """See `SpanExporter.export`."""
        self.gate.wait(30)
        self.spans += spans
        return self.result


class Client:
    """A socket whose client is the test."""

    transport = "websocket"
    address = "192.0.2.1"

    def __init__(self, node: "ObservedNode", name: str) -> None:
        self.id = SessionId(name)
        self._node = node
        self.heard: list[Any] = []

    def send(self, packet: bytes) -> None:
        """See `Link.send`."""
        if packet.startswith(b"2"):
            self.heard.append(json.loads(packet[1:]))

    def close(self, reason: CloseReason) -> None:
        """See `Link.close`."""
        self._node.service.gateway.closed(self.id, reason)

    def abort(self, reason: CloseReason, rule: str) -> None:
        """See `Link.abort`."""
        self._node.service.gateway.closed(self.id, reason)

    def say(self, event: str, **payload: object) -> None:
        """Send an event. `from_` is `from`."""
        fields = {name.rstrip("_"): value for name, value in payload.items()}
        self._node.service.gateway.receive(self.id, "2" + json.dumps([event, fields]))

    def gone(self, reason: CloseReason = CloseReason.TRANSPORT_LOST) -> None:
        """The connection is lost, or what else is said."""
        self._node.service.gateway.closed(self.id, reason)

    def last(self, event: str) -> dict[str, Any]:
        """The payload of the last event of this name."""
        return next(payload for name, payload in reversed(self.heard) if name == event)


class ObservedNode:
    """What tests of observability need: clients, time, and what was seen.

    A lost connection ends its call, unless a grace is asked for.
    """

    def __init__(
        self,
        ratio: float = 1.0,
        *,
        traces: bool = True,
        reconnect_grace_s: float = 0,
        shared: bool = False,
        **settings: Any,
    ) -> None:
        self.clock = ManualClock(start_s=5000.0)
        self.stream = io.StringIO()
        self.exporter = KeptSpans()
        self._root = logging.getLogger()
        self._handlers, self._level = list(self._root.handlers), self._root.level
        chosen: dict[str, Any] = {"limit_events": "0", "limit_call_initiate": "0", **settings}
        chosen["reconnect_grace_s"] = reconnect_grace_s
        service_settings = Settings(_env_file=None, **chosen)  # type: ignore[call-arg] # pydantic-settings takes it
        options = TelemetryOptions(
            "127.0.0.1",
            NO_METRICS_PORT,
            ratio,
            None,
            "info",
            call_records=service_settings.call_records,
            keeps_ended=service_settings.has_admin,
            log_stream=self.stream,
            shared=shared,
        )
        self.telemetry = Telemetry(options, self.clock, self.exporter if traces else None)
        self.service: Node = compose(service_settings, self.clock, self.telemetry.observer)
        self._count = 0

    def close(self) -> None:
        """End the telemetry and give `logging` back."""
        self.exporter.gate.set()
        self.telemetry.close()
        self._root.handlers[:] = self._handlers
        self._root.setLevel(self._level)

    def connect(self, name: str = "") -> Client:
        """A client that has not joined."""
        self._count += 1
        client = Client(self, name or f"socket-{self._count}")
        self.service.gateway.opened(client, Identity(), 0.02)
        return client

    def join(self, user: str) -> Client:
        """A client that has joined."""
        client = self.connect()
        client.say("user:join", userId=user)
        return client

    async def passes(self, seconds: float) -> None:
        """Time goes by; what comes due is done."""
        self.clock.advance(seconds)
        await asyncio.sleep(0)

    def call(self, caller: Client, callee: str, media: str = "video", **more: object) -> str:
        """Place a call and give its id."""
        caller.say("call:initiate", to=callee, callType=media, **more)
        call_id: str = caller.last("call:initiated")["callId"]
        return call_id

    async def connected_call(self, caller: Client, callee: Client, names: tuple[str, str]) -> str:
        """A call with media flowing: 2 s ringing, 0.5 s negotiation, 0.25 s until media."""
        call_id = self.call(caller, names[1])
        await self.passes(2)
        callee.say("call:accept", callId=call_id)
        caller.say("call:offer", offer={"sdp": "v=0 secret-offer"}, to=names[1])
        for number in range(3):
            caller.say("ice:candidate", candidate={"candidate": f"candidate:{number} 192.0.2.7"}, to=names[1])
        await self.passes(0.5)
        callee.say("call:answer", answer={"sdp": "v=0 secret-answer"}, to=names[0])
        callee.say("ice:candidate", candidate=None, to=names[0])
        await self.passes(0.25)
        caller.say("call:connected", callId=call_id)
        return call_id

    def scrape(self) -> dict[str, float]:
        """Every sample that is not zero, as `name{label="value",...}`, without the prefix."""
        samples: dict[str, float] = {}
        for line in generate_latest(self.telemetry.registry).decode().splitlines():
            name, _, value = line.rpartition(" ")
            if name.startswith("signalling_") and float(value):
                samples[name.removeprefix("signalling_")] = float(value)
        return samples

    def openmetrics(self) -> str:
        """The scrape with exemplars."""
        encode, _content_type = choose_encoder("application/openmetrics-text; version=1.0.0")
        return encode(self.telemetry.registry).decode()

    def lines(self) -> list[dict[str, Any]]:
        """The log so far."""
        self.telemetry.flush_log()
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]

    async def spans(self) -> list[ReadableSpan]:
        """What was exported, after everything has settled."""
        await self.passes(2)
        self.telemetry.flush_traces()
        return self.exporter.spans

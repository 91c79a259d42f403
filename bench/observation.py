"""What it costs to be observed: `python -m bench.observation`.

Two nodes without a transport handle the same calls in turn, one watched by the whole telemetry (metrics, traces at
the default ratio, logs), one by nobody. The difference is the cost of observation for each event. Set against what
an event costs a real server, under real clients in the same run, it is the share of throughput. Last, how much a
scrape delays the event loop.
"""

import argparse
import asyncio
import gc
import io
import json
import statistics
import threading
import time
import urllib.request
from collections.abc import Callable
from typing import NamedTuple

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from bench.replay import Recorder, candidate_us, costs_us
from bench.server import cpu_per_event_us, free_port
from observability.telemetry import Telemetry, TelemetryOptions
from service.adapters.memory.clock import LoopClock
from service.bootstrap import Node, compose
from service.config import Settings
from service.domain.ids import SessionId
from service.ports import Clock, Identity, Observer
from service.transport.link import CloseReason

CALLS_A_RUN = 400
EVENTS_A_CALL = 16
"""initiate, accept, offer, answer, five candidates each way, connected, end."""

SDP = json.dumps({"type": "offer", "sdp": "v=0 " + "a=line of a description " * 80})
CANDIDATE = json.dumps({"candidate": "candidate:1 1 udp 2113937151 0.0.0.0 9 typ host", "sdpMid": "0"})


class Discard(SpanExporter):
    """A collector that costs nothing, on the processor's own thread."""

    def export(self, spans: "list[ReadableSpan] | tuple[ReadableSpan, ...]") -> SpanExportResult:  # type: ignore[override]
        """See `SpanExporter.export`."""
        return SpanExportResult.SUCCESS


class SilentLink:
    """A client that listens to nothing."""

    transport = "websocket"
    address = "127.0.0.1"

    def __init__(self, name: str) -> None:
        self.id = SessionId(name)
        self.last = b""

    def send(self, packet: bytes) -> None:
        """See `Link.send`."""
        self.last = packet

    def close(self, reason: CloseReason) -> None:
        """See `Link.close`."""

    def abort(self, reason: CloseReason, rule: str) -> None:
        """See `Link.abort`."""


class Side(NamedTuple):
    """One of the two nodes."""

    node: Node
    caller: SilentLink
    callee: SilentLink


def make_side(clock: Clock, observer: Observer) -> Side:
    """A node with two users."""
    settings = Settings(_env_file=None, limit_events="0", limit_call_initiate="0")  # type: ignore[call-arg]
    node = compose(settings, clock, observer)
    links = SilentLink("caller-1"), SilentLink("callee-1")
    for link, user in zip(links, ("caller", "callee"), strict=True):
        node.gateway.opened(link, Identity(), 0.0)
        node.gateway.receive(link.id, f'2["user:join",{{"userId":"{user}"}}]')
    return Side(node, *links)


def one_call(side: Side) -> None:
    """A whole call, as packets."""
    say, caller, callee = side.node.gateway.receive, side.caller.id, side.callee.id
    say(caller, '2["call:initiate",{"to":"callee","callType":"video"}]')
    call_id = json.loads(side.caller.last[1:])[1]["callId"]
    say(callee, f'2["call:accept",{{"callId":"{call_id}","from":"caller"}}]')
    say(caller, f'2["call:offer",{{"offer":{SDP},"from":"caller","to":"callee","callType":"video"}}]')
    say(callee, f'2["call:answer",{{"answer":{SDP},"from":"callee","to":"caller"}}]')
    for _ in range(5):
        say(caller, f'2["ice:candidate",{{"candidate":{CANDIDATE},"from":"caller","to":"callee"}}]')
        say(callee, f'2["ice:candidate",{{"candidate":{CANDIDATE},"from":"callee","to":"caller"}}]')
    say(caller, f'2["call:connected",{{"callId":"{call_id}"}}]')
    say(callee, f'2["call:end",{{"callId":"{call_id}"}}]')


async def event_us(side: Side) -> float:
    """Microseconds of CPU for each event, over one run."""
    started = time.thread_time()
    for _ in range(CALLS_A_RUN):
        one_call(side)
    spent = time.thread_time() - started
    await asyncio.sleep(0)
    return spent / (CALLS_A_RUN * EVENTS_A_CALL) * 1e6


async def cost_of_observation(rounds: int) -> tuple[float, float]:
    """Median microseconds of an event, unobserved and observed, over alternating runs."""
    clock = LoopClock(asyncio.get_running_loop())
    options = TelemetryOptions("127.0.0.1", 0, 0.1, None, "info", io.StringIO())
    telemetry = Telemetry(options, clock, Discard())
    off, on = make_side(clock, Observer()), make_side(clock, telemetry.observer)
    for side in (off, on):
        await event_us(side)
    pairs = []
    for _ in range(rounds):
        gc.collect()  # each run pays for its own garbage
        pairs.append((await event_us(off), await event_us(on)))
    telemetry.close()
    return statistics.median(pair[0] for pair in pairs), statistics.median(pair[1] for pair in pairs)


async def cost_in_line(rounds: int) -> float:
    """Microseconds that observation takes on the way of a candidate: the least over the rounds."""
    clock = LoopClock(asyncio.get_running_loop())
    recorder = Recorder()
    side = make_side(clock, recorder)
    for _ in range(CALLS_A_RUN):
        one_call(side)
    costs = []
    for _ in range(rounds):
        telemetry = Telemetry(TelemetryOptions("127.0.0.1", 0, 0.1, None, "info", io.StringIO()), clock, Discard())
        costs.append(candidate_us(costs_us(recorder.sights, telemetry.observer)))
        telemetry.close()
    return min(costs)


async def loop_delays_ms(during: Callable[[], None] | None, seconds: float) -> list[float]:
    """How much later than asked the loop woke up every millisecond, with something going on in a thread."""
    stop = threading.Event()
    thread = threading.Thread(target=_repeat, args=(during, stop)) if during else None
    if thread:
        thread.start()
    delays = []
    until = time.monotonic() + seconds
    while (now := time.monotonic()) < until:
        await asyncio.sleep(0.001)
        delays.append((time.monotonic() - now - 0.001) * 1000)
    stop.set()
    if thread:
        thread.join()
    return sorted(delays)


def _repeat(act: Callable[[], None], stop: threading.Event) -> None:
    while not stop.wait(0.2):
        act()


async def stall_of_a_scrape(seconds: float) -> tuple[float, float]:
    """The 99.9th percentile of the loop's delay in milliseconds, without and with five scrapes a second."""
    clock = LoopClock(asyncio.get_running_loop())
    telemetry = Telemetry(TelemetryOptions("127.0.0.1", free_port(), 0.1, None, "info", io.StringIO()), clock)
    url = f"http://127.0.0.1:{telemetry.metrics_port}/metrics"
    quiet = await loop_delays_ms(None, seconds)
    scraped = await loop_delays_ms(lambda: urllib.request.urlopen(url, timeout=10).close(), seconds)
    telemetry.close()
    return quiet[int(len(quiet) * 0.999)], scraped[int(len(scraped) * 0.999)]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--seconds", type=float, default=10.0)
    chosen = parser.parse_args()
    in_line = asyncio.run(cost_in_line(chosen.rounds))
    off, on = asyncio.run(cost_of_observation(chosen.rounds))
    whole = cpu_per_event_us(chosen.seconds)
    quiet, scraped = asyncio.run(stall_of_a_scrape(chosen.seconds))
    print(f"observation of a candidate, in line     {in_line:7.2f} us")
    print(f"an event in the core, unobserved       {off:8.2f} us")
    print(f"the same, observed                     {on:8.2f} us")
    print(f"observation of an event                {on - off:8.2f} us")
    print(f"an event of a real server, all told    {whole:8.2f} us")
    print(f"share of observation                   {(on - off) / whole * 100:8.2f} %")
    print(f"loop delay p99.9, quiet                {quiet:8.2f} ms")
    print(f"loop delay p99.9, 5 scrapes a second   {scraped:8.2f} ms")


if __name__ == "__main__":
    main()

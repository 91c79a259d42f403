import asyncio
import gc
import threading
import time

import pytest

from observability import catalogue as c
from observability.instruments import Instruments
from observability.runtime import STALL_S, TICK_S, GcWatch, LoopWatch
from service.adapters.memory.clock import LoopClock, ManualClock


def test_lag_is_how_late_a_tick_is() -> None:
    class LateClock(ManualClock):
        late = 0.0

        def now(self) -> float:
            return super().now() + self.late

    clock, instruments = LateClock(), Instruments(c.SERVER_METRICS)
    watch = LoopWatch(clock, instruments)
    clock.late = 0.2
    clock.advance(TICK_S)
    watch.close()
    lag = instruments.histogram(c.EVENT_LOOP_LAG)
    assert sum(lag.counts) == 2
    assert lag.sum == pytest.approx(0.2)
    assert abs(instruments.gauge(c.EVENT_LOOP_LAST_TICK).value - time.time()) < 60
    clock.advance(10)
    assert sum(lag.counts) == 2


async def test_a_blocked_loop_is_seen_once_and_the_log_says_where(caplog: pytest.LogCaptureFixture) -> None:
    instruments = Instruments(c.SERVER_METRICS)
    watch = LoopWatch(LoopClock(asyncio.get_running_loop()), instruments)
    stalls = instruments.counter(c.EVENT_LOOP_STALLS)
    deadline = time.monotonic() + 30

    def block_the_loop() -> None:
        while stalls.value == 0 and time.monotonic() < deadline:
            threading.Event().wait(0.05)

    block_the_loop()
    watch.close()
    assert stalls.value == 1
    assert "block_the_loop" in caplog.text
    assert STALL_S >= 1


def test_pauses_of_the_garbage_collector_are_timed() -> None:
    instruments = Instruments(c.SERVER_METRICS)
    watch = GcWatch(instruments)
    gc.collect()
    watch.close()
    pauses = sum(instruments.histogram(c.GC_PAUSE).counts)
    gc.collect()
    assert pauses >= 1
    assert sum(instruments.histogram(c.GC_PAUSE).counts) == pauses

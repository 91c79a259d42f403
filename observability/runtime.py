"""A watch on the process: is the event loop alive, how late does it run, what blocks it, how long does GC pause?"""

import gc
import logging
import sys
import threading
import time
import traceback

from observability import catalogue as c
from observability.instruments import Instruments
from service.ports import Alarm, Clock

TICK_S = 0.25
STALL_S = 1.0
"""The loop counts as stalled when it has given no sign of life for so long."""

_log = logging.getLogger(__name__)


class LoopWatch:
    """Measures the event loop's lag from inside, and sees its stalls from a thread of its own.

    Make it on the loop's thread.
    """

    def __init__(self, clock: Clock, instruments: Instruments) -> None:
        self._clock = clock
        self._lag = instruments.histogram(c.EVENT_LOOP_LAG)
        self._stalls = instruments.counter(c.EVENT_LOOP_STALLS)
        self._last_tick = instruments.gauge(c.EVENT_LOOP_LAST_TICK)
        self._loop_thread = threading.get_ident()
        self._stopped = threading.Event()
        self._ticked_at = time.monotonic()
        self._alarm: Alarm | None = None
        self._watchdog = threading.Thread(target=self._watch, name="watchdog", daemon=True)
        self._tick(clock.now())
        self._watchdog.start()

    def close(self) -> None:
        """Stop watching."""
        self._stopped.set()
        if self._alarm is not None:
            self._alarm.cancel()
        self._watchdog.join()

    def _tick(self, wanted_at_s: float) -> None:
        now = self._clock.now()
        self._lag.observe(max(0.0, now - wanted_at_s))
        self._ticked_at = time.monotonic()
        self._last_tick.value = time.time()
        due = now + TICK_S
        self._alarm = self._clock.call_at(due, lambda: self._tick(due))

    def _watch(self) -> None:
        told_of = 0.0
        while not self._stopped.wait(TICK_S):
            ticked_at = self._ticked_at
            if time.monotonic() - ticked_at > TICK_S + STALL_S and ticked_at != told_of:
                told_of = ticked_at
                self._stalls.value += 1
                _log.error("the event loop is blocked; it stands at:\n%s", self._stack())

    def _stack(self) -> str:
        """Where the loop's thread is now: files, lines and functions, no values."""
        frame = sys._current_frames().get(self._loop_thread)  # noqa: SLF001 - CPython's documented way to it
        return "".join(traceback.format_stack(frame)) if frame is not None else "nowhere"


class GcWatch:
    """Times the pauses of the garbage collector."""

    def __init__(self, instruments: Instruments) -> None:
        self._pauses = instruments.histogram(c.GC_PAUSE)
        self._started_at = 0.0
        gc.callbacks.append(self._called)

    def close(self) -> None:
        """Stop watching."""
        gc.callbacks.remove(self._called)

    def _called(self, phase: str, _info: dict[str, int]) -> None:
        if phase == "start":
            self._started_at = time.perf_counter()
        else:
            self._pauses.observe(time.perf_counter() - self._started_at)

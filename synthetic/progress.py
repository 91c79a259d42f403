"""How the simulation is going, while it is: one line that changes on a terminal, a line now and then elsewhere."""

import asyncio
import sys
import time

from synthetic.summary import Tally

TERMINAL_INTERVAL_S = 0.5
PLAIN_INTERVAL_S = 10.0


class Progress:
    """Writes to stderr, so that stdout is the summary's alone."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._started_at = time.monotonic()

    async def run(self) -> None:
        """Show it until cancelled."""
        on_terminal = sys.stderr.isatty()
        interval_s = TERMINAL_INTERVAL_S if on_terminal else PLAIN_INTERVAL_S
        try:
            while True:
                await asyncio.sleep(interval_s)
                sys.stderr.write(f"\r\x1b[K{self._line()}" if on_terminal else f"{self._line()}\n")
                sys.stderr.flush()
        finally:
            if on_terminal:
                sys.stderr.write("\r\x1b[K")

    def _line(self) -> str:
        tally = self._tally
        return (
            f"{time.monotonic() - self._started_at:5.0f} s: {tally.placed} calls placed, "
            f"{tally.placed - tally.over} on, {tally.as_planned.total()} as planned, {tally.unexpected} not, "
            f"{tally.errors.total()} errors"
        )

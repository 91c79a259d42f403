"""The real server with a fault that can be switched on and off: `python -m tests.grafana.live.faulty_server`.

SIGUSR1 switches the fault on, SIGUSR2 off. The argument says which: `blocked` stops the event loop where it is,
`failing` makes the directory raise when it is asked about a user.
"""

import asyncio
import signal
import sys
import time
from types import FrameType
from unittest import mock

import uvloop

from service import bootstrap
from service.adapters.memory.directory import MemoryDirectory
from service.domain.ids import UserId
from service.domain.placing import Presence
from service.loading import load_settings

NAP_S = 0.05


class BrokenDirectoryError(Exception):
    """The bug that a release brought."""


class Fault:
    """Whether there is one now."""

    def __init__(self, *, blocks: bool) -> None:
        self.on = False
        self._blocks = blocks
        signal.signal(signal.SIGUSR1, self._begin)
        signal.signal(signal.SIGUSR2, self._end)

    def _begin(self, _number: int, _frame: FrameType | None) -> None:
        self.on = True
        while self._blocks and self.on:  # on the loop's thread; the other signal ends it
            time.sleep(NAP_S)

    def _end(self, _number: int, _frame: FrameType | None) -> None:
        self.on = False


def main(kind: str) -> None:
    """Serve with the settings of the environment until told to stop."""
    fault = Fault(blocks=kind == "blocked")

    class FaultyDirectory(MemoryDirectory):
        async def presence(self, user: UserId) -> Presence:
            if fault.on:
                raise BrokenDirectoryError
            return await super().presence(user)

    with (
        mock.patch.object(bootstrap, "MemoryDirectory", FaultyDirectory),
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        runner.run(bootstrap.run(load_settings()))


if __name__ == "__main__":
    main(sys.argv[1])

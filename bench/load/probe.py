"""Health checks while something else goes on, each on a connection of its own, as an orchestrator makes them."""

import asyncio
import time
from typing import Self

from bench.load.client import LoadError

EVERY_S = 0.02
PATIENCE_S = 30.0
REQUEST = b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"


class Probe:
    """Asks `/livez` again and again inside its `async with`, and notes the slowest answer."""

    slowest_s = 0.0

    def __init__(self, port: int) -> None:
        self._port = port
        self._over = False

    async def __aenter__(self) -> Self:
        self._asking = asyncio.ensure_future(self._ask_until_over())
        return self

    async def __aexit__(self, *_raised: object) -> None:
        """A question that was asked before the end counts, however long its answer takes."""
        self._over = True
        await self._asking

    async def _ask_until_over(self) -> None:
        while True:
            asked = time.perf_counter()
            try:
                await asyncio.wait_for(self._ask(), PATIENCE_S)
            except TimeoutError:
                raise LoadError(f"/livez was not answered within {PATIENCE_S:.0f} s") from None
            self.slowest_s = max(self.slowest_s, time.perf_counter() - asked)
            if self._over:
                return
            await asyncio.sleep(EVERY_S)

    async def _ask(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        writer.write(REQUEST)
        status = await reader.readline()
        writer.close()
        if status.split()[1:2] != [b"200"]:
            raise LoadError(f"/livez was answered with {status!r}")

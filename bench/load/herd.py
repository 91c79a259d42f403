"""Clients that only stay, in a process of their own so that they take nothing from the one whose calls are measured.

`python -m bench.load.herd PORT CLIENTS NAME` lets them all join, says on a line how that went, and answers pings from
then on. For every line that it is given it drops all connections at once, lets all join again at once, and says how
that went. It ends with its input.
"""

import asyncio
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

import orjson
import uvloop

from bench.load.client import Client, LoadError, join_all
from bench.server import raise_file_limit

JOINS_AT_ONCE = 32
CLIENTS_A_SOURCE = 10_000
"""An address has 28,000 ports for its connections to one other, by default. Ports of closed ones rest for a minute."""


class Joined(NamedTuple):
    """How the joining of all went."""

    seconds: float
    generator_share: float
    """Of one core."""


class Herd:
    """A handle on that process."""

    def __init__(self, process: Process) -> None:
        self._process = process

    async def again(self) -> Joined:
        """Drop all connections at once and let all join again at once.

        Raises:
            LoadError: not all could join, or some were lost before.
        """
        assert self._process.stdin is not None  # noqa: S101 - made with a pipe
        self._process.stdin.write(b"\n")
        return await self.joined()

    async def joined(self) -> Joined:
        """Wait until all have joined."""
        assert self._process.stdout is not None  # noqa: S101 - made with a pipe
        said = orjson.loads(await self._process.stdout.readline() or b'"the herd is gone"')
        if isinstance(said, str):
            raise LoadError(said)
        return Joined(*said)

    async def leave(self) -> None:
        """Let all go.

        Raises:
            LoadError: not all were there any more.
        """
        out, _ = await self._process.communicate(b"")  # an end of input, unlike None
        if self._process.returncode:
            raise LoadError(orjson.loads(out) if out else "the herd is gone")


@asynccontextmanager
async def herd(port: int, clients: int, name: str) -> AsyncIterator[Herd]:
    """So many clients that have joined, with users of that name and a number. They leave at the end.

    Raises:
        LoadError: not all could join, or not all could stay.
    """
    command = (sys.executable, "-m", "bench.load.herd", str(port), str(clients), name)
    process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE)
    handle = Herd(process)
    try:
        await handle.joined()
        yield handle
        await handle.leave()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def source(number: int) -> str:
    """The loopback address that the client with this number, counted from 0, connects from."""
    return f"127.0.0.{2 + number // CLIENTS_A_SOURCE}"


async def _join(port: int, users: list[str], at_once: int, lost: "asyncio.Future[None]") -> tuple[list[Client], Joined]:
    wall, cpu = time.perf_counter(), time.process_time()
    joined: list[Client] = []
    for first in range(0, len(users), CLIENTS_A_SOURCE):
        some = users[first : first + CLIENTS_A_SOURCE]
        joined += await join_all(port, some, at_once, source(first))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu

    def failed(error: LoadError) -> None:
        if not lost.done():
            lost.set_exception(error)

    for client in joined:
        client.lost = failed
    return joined, Joined(wall, cpu / wall)


async def _stay(port: int, users: list[str]) -> None:
    lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    joined, how = await _join(port, users, JOINS_AT_ONCE, lost)
    while True:
        print(orjson.dumps([*how]).decode(), flush=True)
        asked = asyncio.ensure_future(asyncio.to_thread(sys.stdin.readline))
        await asyncio.wait((asked, lost), return_when=asyncio.FIRST_COMPLETED)
        if lost.done():
            lost.result()
        if not asked.result():
            return
        for client in joined:
            client.drop()
        joined, how = await _join(port, users, len(users), lost)


def main() -> int:
    """Do what the module says."""
    port, clients, name = sys.argv[1:]
    raise_file_limit()
    try:
        uvloop.run(_stay(int(port), [f"{name}-{n}" for n in range(int(clients))]))
    except (LoadError, OSError) as error:
        print(orjson.dumps(str(error)).decode(), flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

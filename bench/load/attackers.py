"""Clients that mean no good, in a process of their own.

`python -m bench.load.attackers PORT KIND NUMBER` attacks until its input ends, then says on a line how often it did.
"""

import asyncio
import itertools
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from zlib import crc32

import orjson
import uvloop

from bench.load.client import Client, LoadError, enter, event_packet

REST_S = 0.1
"""Between two attacks of one attacker of many: the machine has two cores, for the server, its callers and these."""

MALFORMED = (
    b'42["ice:candidate",{"candidate":' + b"[" * 5000,
    b'42["call:offer",NaN]',
    b'451-["call:offer",{"_placeholder":true,"num":7}]',
    b"9" + b"x" * 50_000,
    b"42[" + b"7" * 50_000,
)
BOMB = b"POST /socket.io/?EIO=4&transport=polling&sid=nobody HTTP/1.1\r\nHost: -\r\nContent-Length: 99614720\r\n\r\n"
BOMB_BYTES = 1_000_000
PIECE = "x" * 60_000
FLOOD_AT_ONCE = 50
GIVEN_UP_S = 2.0
"""What a bomb and a piece that nobody reads wait for; then they begin anew."""

Attack = Callable[[int, str, str], Awaitable[None]]
"""What an attacker does once: to this port, as this user, from this address."""


class Hostile(Client):
    """Takes whatever it is told, and notes when it is thrown out."""

    def __init__(self, user: str) -> None:
        super().__init__(user)
        self.out = asyncio.Event()
        self.hear = lambda _event, _payload: None
        self.lost = lambda _error: self.out.set()

    @classmethod
    async def entered(cls, port: int, user: str, source: str) -> "Hostile":
        """One that has joined."""
        client = cls(user)
        await enter(client, port, source)
        return client

    def deafen(self) -> None:
        """Read nothing more."""
        if self._transport is not None:
            self._transport.underlying_transport.pause_reading()


async def malformed(port: int, user: str, source: str) -> None:
    """Say something that is no packet, and be closed."""
    client = await Hostile.entered(port, user, source)
    client.send(MALFORMED[crc32(user.encode()) % len(MALFORMED)])
    await _thrown_out(client)


async def bomb(port: int, _user: str, source: str) -> None:
    """Post a body that is too large, before any handshake."""
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(GIVEN_UP_S):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0))
            writer.write(BOMB + b"x" * BOMB_BYTES)
            await reader.read()
            writer.close()


async def flood(port: int, user: str, source: str) -> None:
    """Send events as fast as they are taken, until thrown out."""
    client = await Hostile.entered(port, user, source)
    packet = event_packet("user:status", {"userId": user})
    while not client.out.is_set():
        for _ in range(FLOOD_AT_ONCE):
            client.send(packet)
        await asyncio.sleep(0)


async def deaf(port: int, user: str, source: str) -> None:
    """Call somebody who reads nothing, and send and send."""
    victim = await Hostile.entered(port, f"{user}-deaf", source)
    client = await Hostile.entered(port, user, source)
    client.send(event_packet("call:initiate", {"to": victim.user, "callType": "video"}))
    piece = event_packet("call:offer", {"offer": PIECE, "to": victim.user, "callType": "video"})
    victim.deafen()
    with suppress(TimeoutError):
        async with asyncio.timeout(GIVEN_UP_S):
            while not (client.out.is_set() or victim.out.is_set()):
                client.send(piece)
                await asyncio.sleep(0.002)  # within the rate of events
    client.drop()
    victim.drop()


async def mixed(port: int, user: str, source: str) -> None:
    """One of these by turns."""
    await (malformed, bomb)[crc32(user.encode()) % 2](port, user, source)
    await asyncio.sleep(REST_S)


KINDS: dict[str, Attack] = {"attackers": mixed, "flood": flood, "slow consumer": deaf}


async def _thrown_out(client: Hostile) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(GIVEN_UP_S):
            await client.out.wait()
    client.drop()


@asynccontextmanager
async def attackers(port: int, kind: str, number: int) -> AsyncIterator[Callable[[], Awaitable[int]]]:
    """So many attackers. What is given ends the attack and says how often they attacked.

    Raises:
        LoadError: they could not attack.
    """
    command = (sys.executable, "-m", "bench.load.attackers", str(port), kind, str(number))
    process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE)

    async def end() -> int:
        out, _ = await process.communicate(b"")
        if process.returncode:
            raise LoadError(f"the attack ({kind}) failed")
        return int(orjson.loads(out))

    try:
        assert process.stdout is not None  # noqa: S101 - made with a pipe
        await process.stdout.readline()
        yield end
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _attack(port: int, kind: str, number: int) -> int:
    done = itertools.count()
    attack = KINDS[kind]

    async def go_on(attacker: int) -> None:
        for time in itertools.count():
            with suppress(LoadError, OSError):  # turned away at the door
                await attack(port, f"attacker-{attacker}-{time}", f"127.0.1.{1 + attacker}")
            next(done)

    at_work = [asyncio.ensure_future(go_on(attacker)) for attacker in range(number)]
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    for each in at_work:
        each.cancel()
    return next(done)


def main() -> None:
    """Do what the module says."""
    port, kind, number = sys.argv[1:]
    print(uvloop.run(_attack(int(port), kind, int(number))), flush=True)


if __name__ == "__main__":
    main()

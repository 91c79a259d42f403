"""A client in a process of its own, which a test can freeze: `python -m tests.chaos.frozen_client PORT TRANSPORT`.

It says on stdout, a line each, its user id once it has joined, `accepted` once it has taken a call, and in the end
how the server closed the connection.
"""

import asyncio
import json
import os
import sys

from tests.chaos.clients import event, guest, join
from tests.interop.conformance_clients import Client, Socket, receive
from tests.interop.conformance_frames import CLOSE
from tests.interop.conformance_server import CALM, Conformance
from tests.interop.raw_client import Closed


def say(line: object) -> None:
    print(line, flush=True)  # noqa: T201 - what this program is for


async def take_a_call(client: Client) -> None:
    user = f"frozen-{os.getpid()}"
    await join(client, user)
    say(user)
    incoming = json.loads(str(await receive(client)).removeprefix("42"))
    await client.send(event("call:accept", {"callId": incoming[1]["callId"]}))
    assert str(await receive(client)).startswith('42["call:accepted",')
    say("accepted")


async def end_of(client: Client) -> int:
    """Answer pings until the server closes; its close code, 0 on polling."""
    if not isinstance(client, Socket):
        try:
            while True:
                await receive(client)
        except Closed:
            return 0
    while (got := await client.frames.receive()).opcode != CLOSE:
        if got.payload == b"2":
            await client.send("3")
    return int.from_bytes(got.payload[:2])


async def main(port: int, transport: str) -> None:
    async with guest(Conformance(port, CALM), transport) as client:
        await take_a_call(client)
        say(await end_of(client))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))

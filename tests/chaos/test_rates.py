"""Events without end, from a user who comes back and back, and from an address with many sockets."""

import asyncio
import contextlib
from pathlib import Path

from tests.chaos.clients import event, guest, join, member
from tests.chaos.conftest import ATTACKED
from tests.chaos.footprint import scrape
from tests.chaos.healthy import healthy_call
from tests.interop.conformance_clients import Client, receive
from tests.support.server import running_server

STATUS = event("user:status", {"userId": "nobody"})


async def answered(client: Client, times: int) -> int:
    """How many of so many questions are answered with a status."""
    for _ in range(times):
        await client.send(STATUS)
    heard = [str(await receive(client)) for _ in range(times)]
    assert all(packet.startswith(('42["user:status"', '42["error"')) for packet in heard)
    assert all('"code":"rate_limited"' in packet for packet in heard if "error" in packet)
    return sum("error" not in packet for packet in heard)


async def test_a_user_who_comes_back_gets_no_more_than_one_who_stays(tmp_path: Path) -> None:
    with running_server(tmp_path, **{**ATTACKED, "LIMIT_EVENTS": "200/1h"}) as server:
        async with healthy_call(server):
            total = 0
            for _ in range(10):
                async with guest(server) as client:
                    await join(client, "the same one")
                    total += await answered(client, 40)
        assert total == 200
        assert (await scrape(server)).sum("rate_limited_total", scope="user") == 200


async def test_fifty_sockets_of_one_address_send_no_more_than_it_may(tmp_path: Path) -> None:
    limits = {"LIMIT_EVENTS": "0", "LIMIT_EVENTS_PER_ADDRESS": "1000/1h"}
    with running_server(tmp_path, **{**ATTACKED, **limits}) as server:
        async with contextlib.AsyncExitStack() as held:
            clients = [(await held.enter_async_context(member(server)))[0] for _ in range(50)]
            total = sum(await asyncio.gather(*(answered(client, 30) for client in clients)))
        joins, asked = 50, 50 * 30
        assert total == 1000 - joins
        refused = (await scrape(server)).sum("rate_limited_total", scope="address")
        assert refused == asked - total

"""Bodies that are too large, too slow, too many or never finished."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator

import pytest

from tests.chaos.clients import POLLING, event, guest
from tests.chaos.conftest import ATTACKED
from tests.chaos.footprint import resident_bytes, scrape, unread_bytes, until
from tests.chaos.healthy import healthy_call
from tests.interop.conformance_clients import NEVER_A_SID, SOCKET, Polling, packets_of, target
from tests.interop.conformance_frames import Wire, connected, reply, request
from tests.support.server import Server, running_server

BOMB = 95_000_000
ATTACKERS = 50
COST = 5_000_000
"""Of 50 attackers together, in bytes."""
LIMIT = 262_144
"""The default of MAX_MESSAGE_BYTES."""
HELD = LIMIT * 2
"""The most that an unfinished body may cost."""
MAX_PACKETS = 256
"""The default of MAX_PACKETS_PER_PAYLOAD."""
UNKNOWN = target(SOCKET, transport="polling", sid=NEVER_A_SID)
CHUNK = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
DECLARED = {"Content-Length": str(BOMB)}
CHUNKED = {"Transfer-Encoding": "chunked"}


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of this module's own: memory that other tests left free would hide what is kept here."""
    with running_server(tmp_path_factory.mktemp("posts"), **ATTACKED) as running:
        yield running


async def bomb(server: Server, address: str, headers: dict[str, str]) -> int:
    """Post far more than is allowed, without a pause, until the server hangs up; the status of its answer."""
    piece = CHUNK if headers is CHUNKED else b"x" * 0x10000
    async with connected(server.port) as wire:
        sending = asyncio.create_task(throw(wire, request("POST", address, headers=headers), piece))
        answer = await reply(wire, "POST")
        sending.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await sending
        return answer.status


async def throw(wire: Wire, head: bytes, piece: bytes) -> None:
    await wire.write(head)
    for _ in range(BOMB // len(piece)):
        await wire.write(piece)


@pytest.mark.parametrize("headers", [DECLARED, CHUNKED], ids=["declared", "chunked"])
@pytest.mark.parametrize(
    ("address", "status"),
    [(UNKNOWN, 400), (POLLING, 400), (target(SOCKET), 400), ("/livez", 405), ("/no/such/page", 404)],
    ids=["unknown sid", "no sid", "no transport", "livez", "unknown page"],
)
async def test_bombs_are_refused_from_their_headers(
    attacked: Server, address: str, status: int, headers: dict[str, str]
) -> None:
    async with healthy_call(attacked) as call:
        before = resident_bytes(attacked)
        answers = await asyncio.gather(*(bomb(attacked, address, headers) for _ in range(ATTACKERS)))
        await call.whole_turn()
        assert resident_bytes(attacked) - before < COST
    assert set(answers) == {status}


@contextlib.asynccontextmanager
async def poller(server: Server) -> AsyncIterator[Polling]:
    async with guest(server, "polling") as client:
        assert isinstance(client, Polling)
        yield client


@pytest.mark.parametrize("headers", [DECLARED, CHUNKED], ids=["declared", "chunked"])
async def test_bomb_closes_its_session(attacked: Server, headers: dict[str, str]) -> None:
    async with healthy_call(attacked), contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(poller(attacked)) for _ in range(ATTACKERS)]
        before = resident_bytes(attacked)
        answers = await asyncio.gather(*(bomb(attacked, client.target(), headers) for client in clients))
        assert set(answers) == {413}
        assert {(await client.poll()).status for client in clients} == {400}
        assert resident_bytes(attacked) - before < COST


async def test_too_many_packets_close_the_session(attacked: Server) -> None:
    good = event("user:status", {"userId": "nobody"})
    async with healthy_call(attacked), poller(attacked) as client:
        before = (await scrape(attacked)).sum("events_total", event="user:status", outcome="ok")
        assert (await client.post(*[good] * MAX_PACKETS)).status == 200
        answers = 0
        while answers < MAX_PACKETS:
            answers += len(packets_of((await client.poll()).body))
        assert (await client.post(*[good] * (MAX_PACKETS + 1))).status == 400
        assert (await client.poll()).status == 400
        assert (await scrape(attacked)).sum("events_total", event="user:status", outcome="ok") == before + MAX_PACKETS


async def test_two_bodies_at_once_close_the_session(attacked: Server) -> None:
    async with healthy_call(attacked), poller(attacked) as client, connected(attacked.port) as wire:
        await wire.write(request("POST", client.target(), headers={"Content-Length": "100"}) + b"x")
        while (answer := await client.post("3")).status == 200:
            pass  # the first was not there yet
        assert answer.status == 400
        assert "one POST at a time" in answer.body
        assert (await client.poll()).status == 400


LENGTHS = ["x", "-1", "1e3", "0x10", "1_0", "", "99999999999999999999999", "10, 10", "\xb2"]


async def test_length_that_is_none_is_refused(attacked: Server) -> None:
    answers = {}
    async with healthy_call(attacked):
        for length in LENGTHS:
            async with poller(attacked) as client, connected(attacked.port) as wire:
                await wire.write(request("POST", client.target(), headers={"Content-Length": length}) + b"3")
                answers[length] = (await reply(wire)).status
    assert {length for length, status in answers.items() if status not in (400, 413)} == set()


TRICKLE_S = 0.05
"""Between two bytes of a slow client."""
PATIENCE_S = 25.0
"""The server gives up after 10 s on a body, after 15 s on headers."""


async def given_up(server: Server, head: bytes, drip: bytes) -> int:
    """Send a part of a request, then drop by drop what never completes it; the status of the answer, 0 for none."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(head)
    dripping = asyncio.create_task(trickle(writer, drip))
    try:
        async with asyncio.timeout(PATIENCE_S):
            first_line, _, _ = (await reader.read()).partition(b"\r\n")
        return int(first_line.split()[1]) if first_line else 0
    finally:
        dripping.cancel()
        await asyncio.wait({dripping})
        writer.close()


async def trickle(writer: asyncio.StreamWriter, drip: bytes) -> None:
    while drip:
        writer.write(drip)
        await asyncio.sleep(TRICKLE_S)


async def test_unfinished_and_slow_requests_are_given_up(attacked: Server) -> None:
    async with healthy_call(attacked), contextlib.AsyncExitStack() as stack:
        addresses = [(await stack.enter_async_context(poller(attacked))).target() for _ in range(ATTACKERS)]
        length = {"Content-Length": str(LIMIT)}
        before = resident_bytes(attacked)
        bodies = [
            (request("POST", addresses.pop(), headers=length), b""),
            (request("POST", addresses.pop(), headers=length), b"4"),
            (request("POST", addresses.pop(), headers=CHUNKED) + b"5\r\n12", b""),
            (request("POST", addresses.pop(), headers=CHUNKED), b"1\r\n4\r\n"),
            *((request("POST", address, headers=length) + b"x" * (LIMIT - 1), b"") for address in addresses),
        ]
        half = request("POST", UNKNOWN)[:-2]
        heads = [(b"", b""), (half, b""), (half + b"X-Slow: ", b"x"), (b"GET /socket.io/?EIO=4&slow=", b"x")]
        attackers = [asyncio.create_task(given_up(attacked, *it)) for it in bodies + heads]
        await until(lambda: all_is_read(attacked), "what was sent is read")
        assert (resident_bytes(attacked) - before) / len(addresses) < HELD
        answers = await asyncio.gather(*attackers, return_exceptions=True)
        assert answers[: len(bodies)] == [408] * len(bodies)
        assert answers[len(bodies) :] == [0, 408, 408, 408]


async def all_is_read(server: Server) -> bool:
    return unread_bytes(server) == 0

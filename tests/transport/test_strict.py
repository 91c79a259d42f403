"""Socket.IO on our engine, where `tests.interop` does not hold it: failures of ours, and clients that do not wait."""

import asyncio
import json
import logging

import pytest

from service.supervisor import Supervisor
from service.transport.engine.connection import Connection
from service.transport.engine.packets import ProtocolError
from service.transport.link import CloseReason
from service.transport.strict import PACKETS_ON_THE_WAY, StrictServer
from tests.transport.engine.harness import Bench, poll

SENT = "what-the-client-says"
TURNS = 10


class Server(StrictServer):
    """A server that notes why connections end, and what its handlers were called with."""

    def __init__(self, bench: Bench) -> None:
        super().__init__(bench.engine, Supervisor(), connect_timeout_s=10.0, namespaces=["/", "/custom"])
        self.ended: list[tuple[CloseReason, str | None]] = []
        self.called: list[object] = []
        self.on("message", self._message)
        self.on("disconnect", self._left)

    def disconnected(self, connection: Connection, reason: CloseReason, rule: str | None) -> None:
        """See `Handler`."""
        self.ended.append((reason, rule))
        super().disconnected(connection, reason, rule)

    async def _message(self, _sid: str, *said: object) -> None:
        self.called.append(said)

    async def _left(self, _sid: str, reason: str) -> None:
        self.called.append(reason)


class Client:
    """A client on polling."""

    def __init__(self, bench: Bench) -> None:
        self.connection = bench.engine.new_connection("192.0.2.1")
        self.connection.begin_on_polling()

    async def say(self, *packets: str) -> None:
        self.connection.posted(list(packets))
        await settled()

    async def hear(self) -> list[str]:
        return await poll(self.connection)


async def settled() -> None:
    for _ in range(TURNS):
        await asyncio.sleep(0)


@pytest.fixture
async def server(bench: Bench) -> Server:
    return Server(bench)


@pytest.fixture
async def bench() -> Bench:
    return Bench(max_outgoing_bytes=100_000)


@pytest.fixture
async def client(bench: Bench, server: Server) -> Client:
    del server  # it is there first
    return Client(bench)


async def connected(client: Client) -> str:
    """The client is in the main namespace; gives its id there."""
    await client.say("40")
    (answer,) = await client.hear()
    assert answer.startswith("40{")
    return str(json.loads(answer[2:])["sid"])


ATTACHED = '451-["message",{"_placeholder":true,"num":0}]'
ONCE = "a namespace is connected to once, and before anything else is sent to it"
OFFENCES = {
    "no packet": (["4x"], "the type of a packet is a digit from 0 to 6"),
    "connected twice": (["40"], ONCE),
    "not connected": (['42/custom,["message"]'], ONCE),
    "unknown": (['42/unknown,["message"]'], ONCE),
    "text for an attachment": ([ATTACHED, '42["message"]'], "attachments follow their packet"),
    "attachment of nothing": (["bAQI="], "an attachment belongs to a packet"),
    "one attachment too many": ([ATTACHED, "bAQI=", "bAQI="], "an attachment belongs to a packet"),
}


@pytest.mark.parametrize(("packets", "rule"), OFFENCES.values(), ids=OFFENCES)
async def test_who_breaks_a_rule_is_closed_and_one_line_says_which(
    server: Server, client: Client, packets: list[str], rule: str, caplog: pytest.LogCaptureFixture
) -> None:
    await connected(client)
    with pytest.raises(ProtocolError) as error:
        await client.say(*packets)
    assert error.value.rule == rule
    assert server.ended == [(CloseReason.PROTOCOL_ERROR, rule)]
    assert caplog.messages == [f"connection closed, the client broke a rule: {rule}"]


async def test_who_only_asked_for_an_unknown_namespace_has_not_connected(server: Server, client: Client) -> None:
    await client.say("40/unknown,")
    assert await client.hear() == ['44/unknown,{"message":"Invalid namespace"}']
    assert not server.confirmed(client.connection)
    await client.say("40/custom,")
    assert (await client.hear())[0].startswith("40/custom,{")
    assert server.confirmed(client.connection)


# --- failures of ours ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("at_once", [True, False])
async def test_a_failing_handler_closes_its_connection_and_is_logged_without_what_was_sent(
    server: Server, client: Client, bench: Bench, caplog: pytest.LogCaptureFixture, *, at_once: bool
) -> None:
    async def broken(_sid: str, said: object) -> None:
        assert said == SENT
        if not at_once:
            await asyncio.sleep(0)
        raise LookupError

    server.on("broken", broken)
    other = Client(bench)
    await connected(other)
    sid = await connected(client)
    await client.say(f'42["broken","{SENT}"]', '42["message","too late"]')
    await settled()
    assert server.ended == [(CloseReason.PROTOCOL_ERROR, None)]
    failures = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert failures == ["a packet failed: LookupError"]
    for private in (SENT, sid, client.connection.sid):
        assert private not in caplog.text
    await other.say('42["message","still here"]')
    assert ("still here",) in server.called


async def test_a_failing_connect_handler_closes_too(
    server: Server, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    async def connect(_sid: str, _environ: object, _auth: object) -> None:
        raise LookupError

    server.on("connect", connect)
    await client.say(f'40{{"token":"{SENT}"}}')
    assert server.ended == [(CloseReason.PROTOCOL_ERROR, None)]
    assert "a packet failed: LookupError" in caplog.text
    assert SENT not in caplog.text


LEFT_OVER = {
    "binary without attachments": '450-["message","hello"]',
    "acknowledgement without attachments": "460-1[]",
    "half a placeholder": '451-["message",{"_placeholder":true,"num":0},{"_placeholder":1,"num":7}]',
}


@pytest.mark.parametrize("packet", LEFT_OVER.values(), ids=LEFT_OVER)
async def test_no_packet_of_a_client_is_a_failure_of_ours(
    client: Client, server: Server, packet: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Whether it is refused for a rule or answered: nobody is to be called for it."""
    await connected(client)
    rest = ["bAQI="] if packet.startswith("451") else []
    try:
        await client.say(packet, *rest, '42["message","and on"]')
    except ProtocolError as refused:
        assert server.ended == [(CloseReason.PROTOCOL_ERROR, refused.rule)]  # noqa: PT017 - it may be raised
    else:
        assert ("and on",) in server.called
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []


async def test_the_library_says_nothing_of_its_own(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    await connected(client)
    await client.say(f'42["message","{SENT}"]', f'43999["{SENT}"]', f'42["unknown","{SENT}"]', "41")
    assert caplog.records == []


# --- clients that do not wait --------------------------------------------------------------------------------


class Gate:
    """An authentication that takes until it is let go on."""

    def __init__(self, server: Server) -> None:
        self.opened: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._called = server.called
        server.on("connect", self._connect)

    async def _connect(self, _sid: str, _environ: object, auth: object) -> bool:
        self._called.append(auth)
        welcome = await self.opened
        self._called.append("authenticated")
        return welcome


async def test_what_is_sent_during_a_slow_authentication_comes_after_it_and_in_order(
    server: Server, client: Client
) -> None:
    gate = Gate(server)
    await client.say('40{"token":"x"}', '42["message",1]', '421["message",2]')
    await client.say('451-["message",{"_placeholder":true,"num":0}]', "bAQI=", '42["message",4]')
    assert server.called == [{"token": "x"}]
    gate.opened.set_result(True)
    await settled()
    assert server.called == [{"token": "x"}, "authenticated", (1,), (2,), (b"\x01\x02",), (4,)]
    connected, acknowledged = await client.hear()
    assert connected.startswith("40{")
    assert acknowledged == "431[]"


async def test_who_is_refused_in_the_end_has_said_nothing(server: Server, client: Client) -> None:
    gate = Gate(server)
    await client.say("40", '42["message",1]')
    gate.opened.set_result(False)
    await settled()
    assert server.called == [None, "authenticated"]
    (refused,) = await client.hear()
    assert refused.startswith("44{")
    assert set(json.loads(refused[2:])) == {"message"}
    connection = client.connection
    assert not server.confirmed(connection)


async def test_another_client_does_not_wait(server: Server, client: Client, bench: Bench) -> None:
    gate = Gate(server)
    await client.say("40")
    server.on("connect", lambda _sid, _environ, _auth: None)
    other = Client(bench)
    await connected(other)
    await other.say('42["message","other"]')
    assert server.called == [None, ("other",)]
    gate.opened.set_result(True)
    await settled()
    assert (await client.hear())[0].startswith("40{")


async def test_a_client_that_leaves_meanwhile_is_gone_after_what_it_said(server: Server, client: Client) -> None:
    gate = Gate(server)
    await client.say("40", '42["message",1]', "1")
    assert server.ended == [(CloseReason.GOODBYE, None)]
    gate.opened.set_result(True)
    await settled()
    assert server.called == [None, "authenticated", (1,), "client disconnect"]
    assert server.manager.sid_from_eio_sid(client.connection.sid, "/") is None


async def test_only_so_much_may_wait(server: Server, client: Client) -> None:
    Gate(server)
    event = '42["message","x"]'
    await client.say("40", *[event] * PACKETS_ON_THE_WAY)
    assert server.ended == []
    with pytest.raises(ProtocolError, match="a client waits for CONNECT before it goes on"):
        await client.say(event)
    assert server.ended == [(CloseReason.PROTOCOL_ERROR, "a client waits for CONNECT before it goes on")]


# --- what the library asks of its engine ---------------------------------------------------------------------


async def test_the_library_sends_and_closes_through_our_engine(server: Server, client: Client) -> None:
    sid = await connected(client)
    await server.emit("hello", {"n": 1}, to=sid)
    await server.emit("bytes", b"\x01\x02", to=sid)
    assert await client.hear() == ['42["hello",{"n":1}]', '451-["bytes",{"_placeholder":true,"num":0}]', "bAQI="]
    await server.disconnect(sid)
    assert await client.hear() == ["41"]
    assert server.called == ["server disconnect"]


async def test_what_is_sent_to_a_connection_that_is_gone_goes_nowhere(server: Server, client: Client) -> None:
    await connected(client)
    eio_sid = client.connection.sid
    client.connection.abort()
    await server.eio.send(eio_sid, "2[]")
    await server.eio.disconnect(eio_sid)
    assert server.ended == [(CloseReason.TRANSPORT_LOST, None)]


async def test_the_library_may_close_a_connection(server: Server, client: Client) -> None:
    await connected(client)
    await server.eio.disconnect(client.connection.sid)
    assert server.ended == [(CloseReason.DISMISSED, None)]
    assert await client.hear() == ["1"]


async def test_without_a_time_limit_nobody_has_to_connect(bench: Bench) -> None:
    server = StrictServer(bench.engine, Supervisor(), connect_timeout_s=0.0, namespaces=["/"])
    assert server.connected(Client(bench).connection) is None

"""The official JavaScript client, driven from a test.

One Node process serves many tests; each test has a `Stage` of its own, whose clients are closed with it. What a
client hears comes out of `next` in the order of arrival, its end as `("disconnect", reason)`.
"""

import asyncio
import contextlib
import itertools
import json
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tests.support.needs import need_node_module, need_program

DRIVER = Path(__file__).parent / "node" / "driver.mjs"
PATIENCE_S = 10.0
GOODBYE_S = 3.0
LINE_LIMIT = 1 << 22

MODES: dict[str, dict[str, object]] = {
    "websocket": {"transports": ["websocket"]},
    "polling": {"transports": ["polling"]},
    "upgrade": {"waitForUpgrade": True},
}
"""The ways of transport as client options. The last is the client's default: polling first, then an upgrade."""

Heard = tuple[str, Any]
_numbers = itertools.count(1)


class Driver(NamedTuple):
    """The Node process, and where it listens for commands."""

    process: "subprocess.Popen[bytes]"
    port: int


@contextlib.contextmanager
def node_driver() -> Iterator[Driver]:
    """Start Node; end it afterwards."""
    need_node_module("socket.io-client")
    node = need_program("node", "nodejs")
    with subprocess.Popen([node, str(DRIVER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            yield Driver(process, int(process.stdout.readline()))
        finally:
            assert process.stdin is not None
            process.stdin.close()
            try:
                process.wait(GOODBYE_S)
            except subprocess.TimeoutExpired:
                process.kill()


class JsClient:
    """One official client."""

    def __init__(self, stage: "Stage", name: str) -> None:
        self.name = name
        self.sid = ""
        self._stage = stage
        self._heard: asyncio.Queue[Heard] = asyncio.Queue()

    def emit(self, event: str, *args: object) -> None:
        """Send an event without asking for an acknowledgement."""
        self._stage.tell(do="emit", client=self.name, event=event, args=args)

    async def ask(self, event: str, *args: object) -> Any:
        """Send an event and give the acknowledgement."""
        (answer,) = await self._stage.ask(do="ask", client=self.name, event=event, args=args)
        return answer

    def send_packet(self, text: str) -> None:
        """Send a raw Socket.IO packet past the client library."""
        self._stage.tell(do="packet", client=self.name, text=text)

    def disconnect(self) -> None:
        """Say goodbye."""
        self._stage.tell(do="disconnect", client=self.name)

    def close_engine(self) -> None:
        """Close the connection under the Socket.IO client, without a DISCONNECT packet."""
        self._stage.tell(do="closeEngine", client=self.name)

    def fall_silent(self) -> None:
        """Send nothing more, and do not notice."""
        self._stage.tell(do="fallSilent", client=self.name)

    async def transport(self) -> str:
        """The name of the transport in use."""
        return str(await self._stage.ask(do="transport", client=self.name))

    async def next(self) -> Heard:
        """The next event as name and payload."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await self._heard.get()
        except TimeoutError:
            raise AssertionError(f"{self.name} has heard nothing more") from None

    async def fence(self) -> None:
        """Prove that all that came before has been taken, and that the socket is open and works."""
        nobody = f"nobody-{next(_numbers)}"
        self.emit("user:status", {"userId": nobody})
        assert await self.next() == ("user:status", {"userId": nobody, "isOnline": False, "isInCall": False})

    def hear(self, event: str, args: list[Any]) -> None:
        """Note what the client reports."""
        assert len(args) == 1, f"{event} came with {len(args)} arguments"
        self._heard.put_nowait((event, args[0]))


class Stage:
    """The clients of one test. Where there are several addresses, they take turns."""

    def __init__(self, writer: asyncio.StreamWriter, urls: tuple[str, ...], mode: str) -> None:
        self.urls = urls
        self.mode = mode
        self._turns = itertools.cycle(urls)
        self._writer = writer
        self._clients: dict[str, JsClient] = {}
        self._answers: dict[int, asyncio.Future[Any]] = {}

    async def connect(self, name: str, mode: str | None = None, **options: object) -> JsClient:
        """Connect a client that has not joined. The name is the test's own; it becomes unique."""
        client = JsClient(self, f"{name}-{next(_numbers)}")
        self._clients[client.name] = client
        chosen = {**MODES[mode or self.mode], **options}
        answer = await self.ask(do="open", client=client.name, url=next(self._turns), options=chosen)
        client.sid = answer["sid"]
        return client

    async def join(self, *names: str) -> list[JsClient]:
        """Connect clients and let each join as the user of its own name."""
        clients = await asyncio.gather(*(self.connect(name) for name in names))
        for client in clients:
            client.emit("user:join", {"userId": client.name})
            assert await client.next() == (
                "user:joined",
                {"userId": client.name, "socketId": client.sid, "iceServers": []},
            )
        return list(clients)

    def tell(self, **command: object) -> None:
        """Give the driver a command that has no answer."""
        self._writer.write(json.dumps(command).encode() + b"\n")

    async def ask(self, **command: object) -> Any:
        """Give the driver a command and wait for its answer."""
        number = next(_numbers)
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._answers[number] = answer
        self.tell(id=number, **command)
        async with asyncio.timeout(PATIENCE_S):
            return await answer

    async def listen(self, reader: asyncio.StreamReader) -> None:
        """Hand on what the driver reports, until it closes."""
        while line := await reader.readline():
            report = json.loads(line)
            if "client" in report:
                self._clients[report["client"]].hear(report["event"], report["args"])
                continue
            answer = self._answers.pop(report["reply"])
            if "error" in report:
                answer.set_exception(ConnectionError(report["error"]))
            else:
                answer.set_result(report["value"])


@contextlib.asynccontextmanager
async def stage(driver: Driver, urls: str | tuple[str, ...], mode: str) -> AsyncIterator[Stage]:
    """A stage whose clients talk to the server at this address, or these in turn, in this mode."""
    reader, writer = await asyncio.open_connection("127.0.0.1", driver.port, limit=LINE_LIMIT)
    opened = Stage(writer, (urls,) if isinstance(urls, str) else urls, mode)
    listening = asyncio.create_task(opened.listen(reader))
    try:
        yield opened
    finally:
        writer.close()
        listening.cancel()
        with contextlib.suppress(asyncio.CancelledError, ConnectionError):
            await listening
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

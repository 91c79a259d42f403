"""The official JavaScript client, driven from a test.

One Node process serves many tests; each test has a `Link` to it of its own, whose clients are closed with it.
"""

import asyncio
import contextlib
import json
import subprocess
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tests.interop.client import PATIENCE_S, Client, numbers
from tests.support.needs import need_node_module, need_program

DRIVER = Path(__file__).parent / "node" / "driver.mjs"
GOODBYE_S = 3.0
LINE_LIMIT = 1 << 22


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


class JsClient(Client):
    """One official client."""

    def __init__(self, link: "Link", name: str) -> None:
        super().__init__(name)
        self._link = link

    def emit(self, event: str, *args: object) -> None:
        self._link.tell(do="emit", client=self.name, event=event, args=args)

    async def ask(self, event: str, *args: object) -> Any:
        (answer,) = await self._link.ask(do="ask", client=self.name, event=event, args=args)
        return answer

    def send_packet(self, text: str) -> None:
        """Send a raw Socket.IO packet past the client library."""
        self._link.tell(do="packet", client=self.name, text=text)

    def disconnect(self) -> None:
        self._link.tell(do="disconnect", client=self.name)

    def close_engine(self) -> None:
        self._link.tell(do="closeEngine", client=self.name)

    def fall_silent(self) -> None:
        self._link.tell(do="fallSilent", client=self.name)

    async def transport(self) -> str:
        return str(await self._link.ask(do="transport", client=self.name))

    def hear(self, event: str, args: list[Any]) -> None:
        """Note what the client reports."""
        assert len(args) == 1, f"{event} came with {len(args)} arguments"
        self._heard.put_nowait((event, args[0]))


class Link:
    """The way of one test to the Node process, and its clients there."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._clients: dict[str, JsClient] = {}
        self._answers: dict[int, asyncio.Future[Any]] = {}

    async def open(self, url: str, name: str, options: Mapping[str, object]) -> JsClient:
        """Connect a client, with the library's own options."""
        client = JsClient(self, name)
        self._clients[name] = client
        client.sid = (await self.ask(do="open", client=name, url=url, options=options))["sid"]
        return client

    def tell(self, **command: object) -> None:
        """Give the driver a command that has no answer."""
        self._writer.write(json.dumps(command).encode() + b"\n")

    async def ask(self, **command: object) -> Any:
        """Give the driver a command and wait for its answer."""
        number = next(numbers)
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
async def linked(driver: Driver) -> AsyncIterator[Link]:
    """A link whose clients are closed in the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", driver.port, limit=LINE_LIMIT)
    link = Link(writer)
    listening = asyncio.create_task(link.listen(reader))
    try:
        yield link
    finally:
        writer.close()
        listening.cancel()
        with contextlib.suppress(asyncio.CancelledError, ConnectionError):
            await listening
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

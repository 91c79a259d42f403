"""Runs a transcript of the documentation against a real server.

A transcript is a fenced block `text transcript NAME=VALUE ...`; the settings are the server's. Its lines:

    bob/phone joins                   a new socket, joined as bob
    bob/phone connects                a new socket, not joined
    alice -> call:end {...}           send; with `(ack)` at the end, ask for an acknowledgement
    alice <- call:ended {...}         the next message must be exactly this one
    alice <- ack {...}                the next message must be this acknowledgement
    alice says goodbye                Socket.IO DISCONNECT, what `socket.disconnect()` sends
    alice is lost                     the connection ends without a goodbye
    alice is disconnected             the server sends DISCONNECT
    alice is cut off                  the server closes the connection without one
    the server stops                  SIGTERM

`<word>` inside a string stands for a value that the server chooses: the same word, the same value. Lines that begin
with `#` are remarks. At the end no socket may have a message that the transcript does not show.
"""

import asyncio
import contextlib
import json
import re
from typing import Any, Literal

import aiohttp

from tests.support.server import Server

DEADLINE_S = 10.0
_LINE = re.compile(r"(?P<who>\S+) +(?P<way>->|<-) (?P<event>\S+) (?P<payload>.*?)(?P<ack> \(ack\))?$")
_ACT = re.compile(r"(?P<who>\S+) (?P<act>joins|connects|says goodbye|is lost|is disconnected|is cut off)$")
_PLACEHOLDER = re.compile(r"<[a-z0-9-]+>")
_SYNC_ACK = "777"


class RawClient:
    """A Socket.IO client on a bare websocket: the bytes are the transcript's own."""

    def __init__(self, socket: "aiohttp.ClientWebSocketResponse[Literal[True]]", sid: str) -> None:
        self.sid = sid
        self._socket = socket

    @classmethod
    async def connect(cls, http: aiohttp.ClientSession, url: str) -> "RawClient":
        socket = await http.ws_connect(f"{url}/socket.io/?EIO=4&transport=websocket", max_msg_size=0)
        assert (await socket.receive_str(timeout=DEADLINE_S)).startswith("0{")
        await socket.send_str("40")
        opened = await socket.receive_str(timeout=DEADLINE_S)
        assert opened.startswith("40{"), opened
        return cls(socket, json.loads(opened[2:])["sid"])

    async def cut_off(self) -> None:
        """Wait for the end of the connection; before it only the engine's own close packet may come."""
        while (message := await self._socket.receive(timeout=DEADLINE_S)).type is aiohttp.WSMsgType.TEXT:
            assert message.data == "1", message.data
        await self._socket.close()

    async def send(self, event: str, payload: str, ack_id: str = "") -> None:
        await self._socket.send_str(f'42{ack_id}["{event}",{payload}]')

    async def next(self) -> str:
        """The next packet that is not the engine's heartbeat."""
        while True:
            packet = await self._socket.receive_str(timeout=DEADLINE_S)
            if packet != "2":
                return packet
            await self._socket.send_str("3")

    async def say_goodbye(self) -> None:
        with contextlib.suppress(ConnectionError):  # the server may have closed it
            await self._socket.send_str("41")

    async def lose(self) -> None:
        await self._socket.close()

    async def unread(self) -> list[str]:
        """What came before the answer to a question that is asked now."""
        await self.send("user:status", '{"userId":"nobody"}', _SYNC_ACK)
        packets = []
        while not (packet := await self.next()).startswith(f"43{_SYNC_ACK}"):
            packets.append(packet)
        assert packets.pop().startswith('42["user:status",{"userId":"nobody"')
        return packets


class Player:
    """Plays one transcript."""

    def __init__(self, server: Server, http: aiohttp.ClientSession) -> None:
        self._server = server
        self._http = http
        self._clients: dict[str, RawClient] = {}
        self._gone: list[RawClient] = []
        self._values: dict[str, str] = {}
        self._acks = 0

    async def play(self, text: str) -> None:
        for line in filter(None, map(str.strip, text.splitlines())):
            if not line.startswith("#"):
                await asyncio.wait_for(self._line(line), 2 * DEADLINE_S)
        for name, client in self._clients.items():
            assert not await client.unread(), f"{name} has messages that the transcript does not show"

    async def close(self) -> None:
        """Disconnect everybody."""
        for client in (*self._gone, *self._clients.values()):
            await client.say_goodbye()
            await client.lose()

    async def forgotten(self) -> None:
        """Wait until the server has noticed that everybody has gone."""
        users = {name.partition("/")[0] for name in self._clients}
        watcher = await RawClient.connect(self._http, self._server.url)
        async with asyncio.timeout(DEADLINE_S):
            while users:
                user = users.pop()
                await watcher.send("user:status", json.dumps({"userId": user}))
                if '"isOnline":true' in await watcher.next():
                    users.add(user)
        await watcher.lose()

    async def _line(self, line: str) -> None:
        if line == "the server stops":
            self._server.process.terminate()
        elif message := _LINE.match(line):
            await self._message(line, **message.groupdict())
        elif act := _ACT.match(line):
            await self._act(act["who"], act["act"])
        else:
            raise AssertionError(f"not a line of a transcript: {line}")

    async def _message(self, line: str, who: str, way: str, event: str, payload: str, ack: str | None) -> None:
        client = self._clients[who]
        if way == "->":
            self._acks += 1
            filled = _PLACEHOLDER.sub(lambda found: self._values[found[0]], payload)
            await client.send(event, filled, str(self._acks) if ack else "")
            return
        packet = await client.next()
        opening = f"43{self._acks}" if event == "ack" else "42"
        assert packet.startswith(opening), f"{line!r}, but came {packet}"
        content = json.loads(packet[len(opening) :])
        expected = [json.loads(payload)] if event == "ack" else [event, json.loads(payload)]
        assert self._agree(expected, content), f"{line!r}, but came {packet}"

    def _agree(self, expected: Any, came: Any) -> bool:
        if isinstance(expected, dict) and isinstance(came, dict):
            return expected.keys() == came.keys() and all(self._agree(expected[key], came[key]) for key in expected)
        if isinstance(expected, list) and isinstance(came, list):
            return len(expected) == len(came) and all(map(self._agree, expected, came))
        if isinstance(expected, str) and _PLACEHOLDER.fullmatch(expected):
            value = self._values.setdefault(expected, came)
            distinct = len(set(self._values.values())) == len(self._values)
            return isinstance(came, str) and value == came and distinct
        return bool(expected == came) and type(expected) is type(came)

    async def _act(self, who: str, act: str) -> None:
        if act in ("joins", "connects"):
            await self._enter(who, join=act == "joins")
            return
        client = self._clients[who] if act == "is disconnected" else self._clients.pop(who)
        if act == "is cut off":
            await client.cut_off()
            return
        if act == "says goodbye":
            self._gone.append(client)
            await client.say_goodbye()
        elif act == "is lost":
            await client.lose()
        else:
            packet = await client.next()
            assert packet == "41", f"{who} should be disconnected, but came {packet}"
            await self._clients.pop(who).lose()

    async def _enter(self, who: str, *, join: bool) -> None:
        assert who not in self._clients, f"{who} is already there"
        client = self._clients[who] = await RawClient.connect(self._http, self._server.url)
        if join:
            user = who.partition("/")[0]
            await client.send("user:join", json.dumps({"userId": user}))
            packet = await client.next()
            expected = ["user:joined", {"userId": user, "socketId": client.sid, "iceServers": []}]
            assert json.loads(packet[2:]) == expected, f"{who} joins, but came {packet}"

"""A relay for two users that can be told to spoil the candidates of a call."""

import contextlib
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import orjson
from picows import WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeRequest, ws_create_server

from bench.load.call import CANDIDATES

Sent = list[tuple[str, dict[str, Any]]]


def _faultless(_sent: Sent) -> None:
    """Leave everything as it is."""


class FaultyServer:
    """Makes calls as the contract says, but for `fault`, which may change the candidates on their way."""

    def __init__(self, fault: Callable[[Sent], None] = _faultless) -> None:
        self.fault = fault
        self.users: dict[str, WSTransport] = {}
        self.port = 0

    async def __aenter__(self) -> Self:
        self._server = await ws_create_server(self._listener, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, _t: type[BaseException] | None, _e: BaseException | None, _b: TracebackType | None
    ) -> None:
        self.drop()
        self._server.close()

    def drop(self) -> None:
        """Close all connections."""
        for transport in self.users.values():
            with contextlib.suppress(ConnectionError):
                transport.disconnect()

    def _listener(self, _request: WSUpgradeRequest) -> "_Connection":
        return _Connection(self)


class _Connection(WSListener):
    def __init__(self, server: FaultyServer) -> None:
        super().__init__()
        self._server = server
        self._user = ""
        self._held: Sent = []

    def on_ws_connected(self, transport: WSTransport) -> None:
        transport.send(WSMsgType.TEXT, b'0{"sid":"s"}')

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type is not WSMsgType.TEXT:
            transport.disconnect()
            return
        packet = frame.get_payload_as_bytes()
        if packet == b"40":
            transport.send(WSMsgType.TEXT, b'40{"sid":"s"}')
        else:
            self._event(transport, *orjson.loads(packet[2:]))

    def _event(self, transport: WSTransport, event: str, payload: dict[str, Any]) -> None:
        if event == "user:join":
            self._user = payload["userId"]
            self._server.users[self._user] = transport
            self._tell(self._user, "user:joined", payload)
        elif event == "call:initiate":
            self._tell(payload["to"], "call:incoming", {"from": self._user, "callType": "video", "callId": "c"})
            self._tell(self._user, "call:initiated", {"callId": "c", "to": payload["to"]})
        elif event == "ice:candidate":
            self._candidate(payload)
        elif "to" in payload:
            self._tell(payload["to"], event, payload)
        else:
            said = {"call:accept": "call:accepted", "call:end": "call:ended"}[event]
            for user in self._server.users:
                self._tell(user, said, {"callId": "c", "by": self._user})

    def _candidate(self, payload: dict[str, Any]) -> None:
        self._held.append(("ice:candidate", payload))
        if len(self._held) == CANDIDATES:
            sent, self._held = self._held, []
            self._server.fault(sent)
            for event, each in sent:
                self._tell(payload["to"], event, each)

    def _tell(self, user: str, event: str, payload: dict[str, Any]) -> None:
        self._server.users[user].send(WSMsgType.TEXT, b"42" + orjson.dumps([event, payload]))

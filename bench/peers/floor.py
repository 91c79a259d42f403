"""The floor: moves the bytes of the same calls from one party to the other, and does nothing else.

Usage: `HOST=127.0.0.1 PORT=8001 python -m bench.peers.floor`. At the same load hardly any server in Python costs less.
It is no server: it believes everything, knows no errors, and no pings. Relayed events go on as they came. What calls
need besides is cut out of the bytes; JSON is never read. User names must be plain ASCII. What goes out to a client in
one turn of the loop is one write: uvloop does so for what is written to its transports.
"""

import os
from collections.abc import Callable

import uvloop
from picows import WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeRequest, ws_create_server

OPEN = b'0{"sid":"floor","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}'
EVENT = slice(4, 11)
"""Where the first letters of an event's name stand in its packet: enough to tell them all apart."""
RELAYED = frozenset((b"ice:can", b"call:of", b"call:an"))
CALL_ID = b"floor"
CONNECT = b"40"
TEXT = 0x81
"""First byte of a frame that is a whole text message."""
READ_BUFFER_BYTES = 4096
"""For each connection. It grows where that is not enough."""

users: dict[bytes, "Connection"] = {}


class Connection(WSListener):
    """One user."""

    user = b""
    write: Callable[[bytes], None]
    """To the connection, past picows, which would make every frame a write of its own."""
    other: "Connection"
    """In the call."""

    def on_ws_connected(self, transport: WSTransport) -> None:
        """See `WSListener`."""
        self.write = transport.underlying_transport.write
        self.tell(OPEN)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """See `WSListener`."""
        if frame.msg_type is WSMsgType.CLOSE:
            transport.disconnect()
            return
        packet = frame.get_payload_as_bytes()
        if packet[EVENT] in RELAYED:
            self.other.tell(packet)
        elif packet == CONNECT:
            self.tell(b'40{"sid":"floor"}')
        else:
            self._event(packet)

    def tell(self, packet: bytes) -> None:
        """Send a packet."""
        size = len(packet)
        head = bytes((TEXT, size)) if size < 126 else bytes((TEXT, 126)) + size.to_bytes(2, "big")
        self.write(head + packet)

    def _event(self, packet: bytes) -> None:
        match packet[EVENT]:
            case b"call:in":
                self._ring(packet)
            case b"call:ac":
                said = b'42["call:accepted",{"callId":"%b","by":"%b"}]' % (CALL_ID, self.user)
                self._tell_both(said)
            case b"call:en":
                said = b'42["call:ended",{"callId":"%b","by":"%b"}]' % (CALL_ID, self.user)
                self._tell_both(said)
            case b"user:jo":
                self.user = _after(packet, b'"userId":"')
                users[self.user] = self
                self.tell(b'42["user:joined",{"userId":"%b","socketId":"floor"}]' % self.user)

    def _ring(self, packet: bytes) -> None:
        other = self.other = users[_after(packet, b'"to":"')]
        other.other = self
        call_type = _after(packet, b'"callType":"')
        incoming = b'42["call:incoming",{"from":"%b","callType":"%b","callId":"%b"}]'
        other.tell(incoming % (self.user, call_type, CALL_ID))
        self.tell(b'42["call:initiated",{"callId":"%b","to":"%b"}]' % (CALL_ID, other.user))

    def _tell_both(self, packet: bytes) -> None:
        self.other.tell(packet)
        self.tell(packet)


def _after(packet: bytes, key: bytes) -> bytes:
    """The string that follows this key."""
    return packet.partition(key)[2].partition(b'"')[0]


def _connection(_request: WSUpgradeRequest) -> Connection:
    return Connection()


async def main() -> None:
    """Serve until the process is ended."""
    host, port = os.environ["HOST"], int(os.environ["PORT"])
    server = await ws_create_server(_connection, host, port, backlog=1024, read_buffer_init_size=READ_BUFFER_BYTES)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())

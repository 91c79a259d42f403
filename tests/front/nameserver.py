"""A nameserver that knows one name: all its addresses are those of the nodes (RFC 1035, section 4)."""

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator

_TYPE_A = 1
_HEADER = struct.Struct("!6H")
_FLAGS = 0x8580  # an answer, with authority, from a server that recurses
_NAME_IN_QUESTION = b"\xc0\x0c"
_TTL_S = 1


class Nameserver:
    """Answers with what `addresses` is set to."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.addresses: tuple[str, ...] = ()

    def answer(self, query: bytes) -> bytes:
        """The addresses, whatever the name; none for IPv6."""
        number = _HEADER.unpack_from(query)[0]
        end = query.index(b"\x00", _HEADER.size) + 5
        (kind,) = struct.unpack_from("!H", query, end - 4)
        found = self.addresses if kind == _TYPE_A else ()
        records = [
            _NAME_IN_QUESTION + struct.pack("!HHIH", _TYPE_A, 1, _TTL_S, 4) + socket.inet_aton(address)
            for address in found
        ]
        return _HEADER.pack(number, _FLAGS, 1, len(records), 0, 0) + query[_HEADER.size : end] + b"".join(records)


@contextlib.contextmanager
def running_nameserver() -> Iterator[Nameserver]:
    """A nameserver on the loopback interface."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        names = Nameserver(server.getsockname()[1])
        stopped = threading.Event()

        def serve() -> None:
            while True:
                query, client = server.recvfrom(4096)
                if stopped.is_set():
                    return
                server.sendto(names.answer(query), client)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield names
        finally:
            stopped.set()
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as waker:
                waker.sendto(b"", ("127.0.0.1", names.port))
            thread.join()

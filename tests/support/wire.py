"""A connection that can be cut: TCP from a port of its own to a server, until somebody pulls the plug."""

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator

_CHUNK_BYTES = 65_536
_RESET = struct.pack("ii", 1, 0)


class Wire:
    """Passes bytes both ways; `cut` resets every connection and refuses new ones until `mend`."""

    def __init__(self, port: int) -> None:
        self._server_port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._lock = threading.Lock()
        self._is_cut = False
        self._ends: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """All connections break, and nobody gets through."""
        with self._lock:
            self._is_cut = True
            for end in self._ends:
                _reset(end)

    def mend(self) -> None:
        """New connections get through again."""
        with self._lock:
            self._is_cut = False

    def close(self) -> None:
        """Cut for good."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                near, _ = self._listener.accept()
                self._connect(near)

    def _connect(self, near: socket.socket) -> None:
        far = socket.create_connection(("127.0.0.1", self._server_port))
        with self._lock:
            if self._is_cut:
                near.close()
                far.close()
                return
            self._ends |= {near, far}
        for source, target in ((near, far), (far, near)):
            threading.Thread(target=self._pass_on, args=(source, target), daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):  # cut, or closed by the other side
            while chunk := source.recv(_CHUNK_BYTES):
                target.sendall(chunk)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)
        with self._lock:
            self._ends.discard(source)


def _reset(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        end.shutdown(socket.SHUT_RDWR)
    end.close()


@contextlib.contextmanager
def wire_to(port: int) -> Iterator[Wire]:
    """A wire to a server on this port, closed afterwards."""
    wire = Wire(port)
    try:
        yield wire
    finally:
        wire.close()

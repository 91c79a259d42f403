"""A connection that can be cut or held: TCP from a port of its own to a server, until somebody pulls the plug."""

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator

_CHUNK_BYTES = 65_536
_RESET = struct.pack("ii", 1, 0)


class Wire:
    """Passes bytes both ways; `cut` resets every connection and refuses new ones until `mend`.

    `hold` breaks nothing: until `release` no byte and no new connection gets through, and nobody is told. What was sent
    meanwhile arrives then, late.
    """

    def __init__(self, port: int) -> None:
        self._server_port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self._passes = threading.Event()
        self._passes.set()
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

    def hold(self) -> None:
        """Everything stays on its way."""
        self._passes.clear()

    def release(self) -> None:
        """It arrives, and what comes then passes at once."""
        self._passes.set()

    def close(self) -> None:
        """Cut for good."""
        self.release()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                near, _ = self._listener.accept()
                self._passes.wait()
                self._connect(near)

    def _connect(self, near: socket.socket) -> None:
        try:
            far = socket.create_connection(("127.0.0.1", self._server_port))
        except OSError:  # nobody listens there any more
            near.close()
            return
        with self._lock:
            if self._is_cut:
                near.close()
                far.close()
                return
            self._ends |= {near, far}
        threading.Thread(target=self._carry, args=(near, far), daemon=True).start()

    def _carry(self, near: socket.socket, far: socket.socket) -> None:
        """Both ways, until both are at their end."""
        back = threading.Thread(target=self._pass_on, args=(far, near), daemon=True)
        back.start()
        self._pass_on(near, far)
        back.join()
        near.close()
        far.close()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):  # cut, or closed by the other side
            while chunk := source.recv(_CHUNK_BYTES):
                self._passes.wait()
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

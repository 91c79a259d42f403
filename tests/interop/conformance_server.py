"""The conformance server as a process of its own.

It takes the place of the signalling server where the protocol itself is tested: `/engine.io/` echoes messages,
`/socket.io/` answers `message` and `message-with-ack`, `/ws-echo` echoes websocket messages. Any other implementation
that exposes the same and takes the same arguments can be put to the same tests: its command line goes into
`SIGNALLING_CONFORMANCE_COMMAND`.
"""

import contextlib
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.support.needs import ROOT
from tests.support.server import free_port

OURS = shlex.join([sys.executable, "-m", "tests.interop.conformance"])
COMMAND = tuple(shlex.split(os.environ.get("SIGNALLING_CONFORMANCE_COMMAND", OURS)))
MAX_PAYLOAD_BYTES = 1_000_000
"""What every conformance server announces, and the largest message of `/ws-echo`."""
END_TIMEOUT_S = 15.0


class Deadlines(NamedTuple):
    """What a conformance server is told about time, in milliseconds."""

    ping_interval_ms: int
    ping_timeout_ms: int
    upgrade_timeout_ms: int = 10_000
    connect_timeout_ms: int = 45_000

    def arguments(self) -> list[str]:
        """Arguments for the command line."""
        return [word for name, value in self._asdict().items() for word in (f"--{name.replace('_', '-')}", str(value))]


BRISK = Deadlines(300, 200)
CALM = Deadlines(25_000, 20_000)
HASTY = Deadlines(300, 200, upgrade_timeout_ms=400, connect_timeout_ms=1_000)


class Conformance(NamedTuple):
    """A running conformance server."""

    port: int
    deadlines: Deadlines


@contextlib.contextmanager
def conformance_server(
    directory: Path, deadlines: Deadlines, command: Sequence[str] = COMMAND
) -> Iterator[Conformance]:
    """Start one, wait until it accepts connections, end it; nothing that it was sent may have made it stumble."""
    port = free_port()
    log = directory / f"conformance-{port}.log"
    arguments = [*command, "--port", str(port), *deadlines.arguments()]
    with (
        log.open("wb") as stderr,
        subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.PIPE, stderr=stderr) as process,
    ):
        try:
            assert process.stdout is not None
            said = process.stdout.readline().decode().strip()
            if said != f"listening on {port}":
                raise RuntimeError(f"the conformance server said {said!r}:\n{log.read_text()}")
            yield Conformance(port, deadlines)
            assert process.poll() is None, log.read_text()
        finally:
            process.terminate()
            try:
                process.wait(END_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
    assert "Traceback" not in log.read_text(), log.read_text()

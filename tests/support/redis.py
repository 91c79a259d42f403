"""A real Redis of the tests' own: on loopback, on a free port, without persistence."""

import asyncio
import contextlib
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from redis import Redis as BlockingRedis
from redis.asyncio import Redis

from service.adapters.memory.clock import LoopClock
from service.adapters.redis.cluster import Cluster, RedisOptions
from service.domain.call import Call
from service.domain.ids import CallId, SessionId, UserId
from service.ports import Outlet, RedisWatch
from service.supervisor import Supervisor
from tests.support.needs import need_program
from tests.support.server import free_port

PATIENCE_S = 15.0


class RedisServer:
    """A redis-server process that tests may stop, freeze and start again."""

    def __init__(self, directory: Path, *arguments: str) -> None:
        self._program = need_program("redis-server", "redis-server")
        self._directory = directory
        self._arguments = arguments
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, empty, on its port, and wait until it listens."""
        options = ["--port", str(self.port), "--bind", "127.0.0.1"]
        if "--sentinel" not in self._arguments:
            options += ["--save", "", "--appendonly", "no"]
        file = [argument for argument in self._arguments if argument.endswith(".conf")]
        others = [argument for argument in self._arguments if argument not in file]
        self._process = subprocess.Popen(
            [self._program, *file, *options, *others],
            cwd=self._directory,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline and self._process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            time.sleep(0.02)
        raise RuntimeError("redis-server did not start")

    def kill(self) -> None:
        """End it at once. What it knew is lost."""
        if self._process is not None:
            self.thaw()
            self._process.kill()
            self._process.wait()
            self._process = None

    @property
    def is_running(self) -> bool:
        """Whether there is a process, frozen or not."""
        return self._process is not None

    def freeze(self) -> None:
        """Let it stand still; its connections stay."""
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)

    def client(self) -> "Redis":
        """A client to look at what is in it, and to do damage."""
        return Redis.from_url(self.url, decode_responses=True)


@contextlib.contextmanager
def running_redis(directory: Path, *arguments: str) -> Iterator[RedisServer]:
    """A Redis that listens; ended afterwards."""
    server = RedisServer(directory, *arguments)
    server.start()
    try:
        yield server
    finally:
        server.kill()


class Replicated(NamedTuple):
    """A Redis with a replica, and Sentinel, which puts the one in the place of the other."""

    master: RedisServer
    replica: RedisServer
    url: str
    """As `REDIS_URL`: two Sentinels, of which the first does not answer."""


@contextlib.contextmanager
def running_sentinel(directory: Path) -> Iterator[Replicated]:
    """All three, of which Sentinel knows that they belong together."""
    with running_redis(directory) as master, running_redis(directory) as replica:
        with BlockingRedis.from_url(replica.url) as client:
            client.replicaof("127.0.0.1", master.port)
        config = directory / "sentinel.conf"
        config.write_text(
            f"sentinel monitor calls 127.0.0.1 {master.port} 1\n"
            "sentinel down-after-milliseconds calls 500\n"
            "sentinel failover-timeout calls 2000\n"
        )
        with running_redis(directory, str(config), "--sentinel") as sentinel:
            _wait_for_replica(sentinel)
            url = f"redis+sentinel://127.0.0.1:{free_port()},127.0.0.1:{sentinel.port}/calls"
            yield Replicated(master, replica, url)


def _wait_for_replica(sentinel: RedisServer) -> None:
    """Wait until Sentinel knows of the replica, without which there is no failover."""
    deadline = time.monotonic() + 2 * PATIENCE_S
    with BlockingRedis.from_url(sentinel.url) as client:
        while time.monotonic() < deadline:
            if client.sentinel_master("calls")["num-slaves"]:
                return
            time.sleep(0.1)
    raise AssertionError("Sentinel does not know of the replica")


class Tally(RedisWatch):
    """Counts what is seen."""

    def __init__(self) -> None:
        self.poison: list[str] = []
        self.sent: list[int] = []
        self.received: list[int] = []
        self.commands: list[tuple[str, str]] = []
        self.restored: list[str] = []
        self.changed: list[Call] = []
        self.over: list[tuple[CallId, Call | None]] = []
        self.answers: list[SessionId] = []
        self.lost = self.missed = self.reaped = self.fences = self.reconnects = self.living = 0

    def command_done(self, command: str, took_s: float, outcome: str) -> None:
        """See `RedisWatch`."""
        self.commands.append((command, outcome))

    def reconnected(self) -> None:
        """See `RedisWatch`."""
        self.reconnects += 1

    def nodes_living(self, count: int) -> None:
        """See `RedisWatch`."""
        self.living = count

    def batch_sent(self, messages: int) -> None:
        """See `RedisWatch`."""
        self.sent.append(messages)

    def batch_received(self, messages: int, lag_s: float) -> None:
        """See `RedisWatch`."""
        assert lag_s >= 0
        self.received.append(messages)

    def poison_ignored(self, kind: str) -> None:
        """See `RedisWatch`."""
        self.poison.append(kind)

    def messages_lost(self, entries: int) -> None:
        """See `RedisWatch`."""
        self.lost += entries

    def delivery_missed(self) -> None:
        """See `RedisWatch`."""
        self.missed += 1

    def fenced(self) -> None:
        """See `RedisWatch`."""
        self.fences += 1

    def session_reaped(self) -> None:
        """See `RedisWatch`."""
        self.reaped += 1

    def call_restored(self, result: str) -> None:
        """See `RedisWatch`."""
        self.restored.append(result)

    def call_changed(self, call: Call) -> None:
        """See `RedisWatch`."""
        self.changed.append(call)

    def call_over(self, call_id: CallId, call: Call | None) -> None:
        """See `RedisWatch`."""
        self.over.append((call_id, call))

    def answer_came(self, session: SessionId) -> None:
        """See `RedisWatch`."""
        self.answers.append(session)


class Member:
    """The adapters of one node, without call control and sockets."""

    def __init__(self, url: str, *, prefix: str = "test:", lease_s: float = 10.0, node: str = "") -> None:
        self.supervisor = Supervisor()
        self.tally = Tally()
        self.clock = LoopClock(asyncio.get_running_loop())
        options = RedisOptions(url=url, node=node, prefix=prefix, lease_s=lease_s)
        self.cluster = Cluster(options, self.clock, self.supervisor.spawn, self.tally)
        self.directory = self.cluster.directory
        self.router = self.cluster.router
        self.timers = self.cluster.timers
        self.name = self.cluster.membership.node

    async def start(self) -> "Member":
        """Start, and wait until it is a member."""
        self.cluster.start()
        await until(lambda: self.cluster.is_ready)
        return self

    def attach(self, outlet: Outlet) -> None:
        """Give it sockets."""
        self.cluster.attach(outlet, on_due=_nothing, on_lost=self._vacate, on_returned=_nothing)

    async def _vacate(self, user: UserId, session: SessionId) -> None:
        await self.directory.vacate(user, session)

    async def die(self) -> None:
        """End without a word to anybody."""
        await self.supervisor.close()


@contextlib.asynccontextmanager
async def members(url: str, count: int, **options: Any) -> AsyncIterator[list[Member]]:
    """So many nodes that know each other."""
    nodes = [Member(url, **options) for _ in range(count)]
    try:
        for node in nodes:
            await node.start()
        yield nodes
    finally:
        for node in nodes:
            await node.die()


async def _nothing(*_about: object) -> None:
    """What a node without call control does."""


async def until(condition: Callable[[], bool], patience_s: float = PATIENCE_S) -> None:
    """Wait for a condition, looking often."""
    async with asyncio.timeout(patience_s):
        while not condition():  # noqa: ASYNC110 - the condition is of any kind
            await asyncio.sleep(0.005)


async def eventually(condition: Callable[[], Awaitable[bool]], patience_s: float = PATIENCE_S) -> None:
    """Wait for a condition that must be asked for."""
    async with asyncio.timeout(patience_s):
        while not await condition():  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.01)

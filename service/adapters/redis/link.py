"""One connection to Redis that all share: commands go out in the order given, those of one loop tick in one write.

redis-py makes the connection; its clients are not used, because each command of theirs takes a connection of its
own, so that two of them may overtake each other.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import NoScriptError, RedisError, ResponseError

from service.adapters.redis.address import Connect
from service.adapters.redis.pipe import Argument, Pipe, packed
from service.adapters.redis.scripts import SCRIPTS, Script
from service.ports import OutOfReachError, RedisWatch

ANSWER_TIMEOUT_S = 0.25
"""How long one command waits for its answer. Then the connection is given up, and with it all that wait."""

SECOND_LOOK_S = 0.01

RETRY_S = (0.02, 0.1, 0.25, 0.5)
"""Pauses between attempts to connect; the last one is repeated, so Redis is missed for a second at the most."""

RESTART_S = 0.5

Spawn = Callable[[str, Coroutine[Any, Any, None]], "asyncio.Task[None]"]
_BROKEN = (RedisError, OSError, EOFError, TimeoutError)

_log = logging.getLogger(__name__)


async def keep_running(name: str, spawn: Spawn, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run what should never end, and again should it fail all the same. The supervisor tells of the failure."""
    while True:
        await asyncio.wait((spawn(name, work()),))
        await asyncio.sleep(RESTART_S)


class _Waiting(NamedTuple):
    name: str
    answer: "asyncio.Future[Any]"
    since_s: float


class RedisLink:
    """The shared connection, made again whenever it breaks. Must not be used before `start`."""

    def __init__(self, connect: Connect, spawn: Spawn, watch: RedisWatch) -> None:
        self._connect = connect
        self._spawn = spawn
        self._watch = watch
        self._loop = asyncio.get_running_loop()
        self._pipe: Pipe | None = None
        self._unsent: list[bytes] = []
        self._waiting: deque[_Waiting] = deque()
        self._is_up = asyncio.Event()
        self._is_looked_after = False
        self.on_down: Callable[[], None] = lambda: None
        """Called whenever the connection breaks."""

    def start(self) -> None:
        """Connect, and stay connected, in the background."""
        self._spawn("keep the redis link", keep_running("redis link", self._spawn, self._stay_connected))

    async def up(self) -> None:
        """Wait until there is a connection."""
        await self._is_up.wait()

    async def load(self) -> None:
        """Let Redis know all scripts.

        Raises:
            OutOfReachError: there is no connection, or it broke.
            ResponseError: Redis refused.
        """
        await asyncio.gather(*(self.call("script", "SCRIPT", "LOAD", script.source) for script in SCRIPTS))

    async def run(self, script: Script, *arguments: Argument) -> Any:  # noqa: ANN401 - whatever the script gives
        """Run a script, loading it if Redis does not know it any more.

        Raises:
            OutOfReachError: there is no connection, or it broke; the script may have run.
            ResponseError: Redis refused.
        """
        try:
            return await self.call(script.name, "EVALSHA", script.sha, 0, *arguments)
        except NoScriptError:
            await self.call("script", "SCRIPT", "LOAD", script.source)
            return await self.call(script.name, "EVALSHA", script.sha, 0, *arguments)

    async def call(self, name: str, *command: Argument) -> Any:  # noqa: ANN401 - whatever Redis answers
        """Send a command and wait for its answer, at most `ANSWER_TIMEOUT_S`; `name` is for those who watch.

        Raises:
            OutOfReachError: there is no connection, or it broke; the command may have been carried out.
            ResponseError: Redis refused.
        """
        if self._pipe is None:
            raise OutOfReachError
        if not self._unsent:
            self._loop.call_soon(self._flush)
        self._unsent.append(packed(command))
        answer: asyncio.Future[Any] = self._loop.create_future()
        self._waiting.append(_Waiting(name, answer, self._loop.time()))
        if not self._is_looked_after:
            self._is_looked_after = True
            self._loop.call_later(ANSWER_TIMEOUT_S, self._look_after)
        return await answer

    def _flush(self) -> None:
        """Send what this turn of the loop has asked for."""
        if self._pipe is not None and self._unsent:
            self._pipe.write(b"".join(self._unsent))
            self._unsent.clear()

    # --- the life of the connection -----------------------------------------------------------------------

    async def _stay_connected(self) -> None:
        failures = 0
        connections = 0
        while True:
            try:
                connection = await self._connect()
            except _BROKEN as error:
                if failures == 0:
                    _log.warning("Redis cannot be reached (%s); trying on", type(error).__name__)
                await asyncio.sleep(RETRY_S[min(failures, len(RETRY_S) - 1)])
                failures += 1
                continue
            failures = 0
            connections += 1
            if connections > 1:
                self._watch.reconnected()
            await self._use(connection)

    async def _use(self, connection: AbstractConnection) -> None:
        self._pipe = pipe = Pipe(connection, self._settle)
        self._is_up.set()
        try:
            await asyncio.wait((pipe.over,))
        finally:
            self._pipe = None
            self._is_up.clear()
            self.on_down()
            self._give_up_waiting()
            await connection.disconnect(nowait=True)

    def _settle(self, answer: object) -> None:
        waiting = self._waiting.popleft()
        refused = isinstance(answer, ResponseError)
        self._watch.command_done(waiting.name, self._loop.time() - waiting.since_s, "refused" if refused else "ok")
        if waiting.answer.done():
            return
        if isinstance(answer, ResponseError):
            waiting.answer.set_exception(answer)
        else:
            waiting.answer.set_result(answer)

    def _give_up_waiting(self) -> None:
        now = self._loop.time()
        self._unsent.clear()
        while self._waiting:
            waiting = self._waiting.popleft()
            self._watch.command_done(waiting.name, now - waiting.since_s, "unknown")
            if not waiting.answer.done():
                waiting.answer.set_exception(OutOfReachError())

    def _look_after(self, *, again: bool = False) -> None:
        """Give the connection up when the oldest command has waited too long.

        It is looked at twice, since after a pause of this process the answers are there and merely not yet read.
        """
        if not self._waiting:
            self._is_looked_after = False
            return
        left = self._waiting[0].since_s + ANSWER_TIMEOUT_S - self._loop.time()
        if left > 0:
            self._loop.call_later(left, self._look_after)
            return
        if again and self._pipe is not None:
            self._pipe.give_up()
        self._loop.call_later(SECOND_LOOK_S, lambda: self._look_after(again=True))

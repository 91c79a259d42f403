"""Strict order for the events of one socket, at no cost for those that need not wait."""

import asyncio
import types
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from typing import Any

from service.supervisor import Supervisor

Work = Callable[[], Coroutine[Any, Any, None]]


class Lane:
    """Runs the works of one socket one after the other.

    A work that does not wait for anything runs to its end inside `submit`: no task, no turn of the loop. When
    one must wait (for Redis, say), it goes on in a task, and later works queue behind it up to `limit`.
    """

    __slots__ = ("_limit", "_name", "_queue", "_supervisor")

    def __init__(self, name: str, supervisor: Supervisor, limit: int) -> None:
        self._name = name
        self._supervisor = supervisor
        self._limit = limit
        self._queue: deque[Work] | None = None

    @property
    def is_idle(self) -> bool:
        """Whether nothing runs or waits."""
        return self._queue is None

    def submit(self, work: Work, *, force: bool = False) -> bool:
        """Run or queue a work. False if too many wait already, unless `force`d."""
        queue = self._queue
        if queue is not None:
            if len(queue) >= self._limit and not force:
                return False
            queue.append(work)
            return True
        self._queue = queue = deque()
        started = work()
        try:
            awaited = started.send(None)
        except StopIteration:
            self._queue = None
            if queue:  # a work may submit to its own lane
                self._supervisor.spawn(self._name, self._drain(queue))
        except BaseException:
            self._queue = None
            raise
        else:
            self._supervisor.spawn(self._name, self._finish(started, _marked(awaited, waiting=False), queue))
        return True

    async def _finish(self, started: Coroutine[Any, Any, None], awaited: object, queue: deque[Work]) -> None:
        try:
            await _resume(started, awaited)
        finally:
            await self._drain(queue)

    async def _drain(self, queue: deque[Work]) -> None:
        try:
            while queue:
                await queue.popleft()()
        finally:
            self._queue = None


@types.coroutine
def _resume(started: Coroutine[Any, Any, None], awaited: object) -> Generator[Any, Any, None]:
    """Go on, in a task, with a coroutine that was started outside one and waits for `awaited`."""
    try:
        yield _marked(awaited, waiting=True)  # the task waits for it, as if the coroutine had been its own
    except BaseException as error:  # noqa: BLE001 - handed on to the coroutine that waits
        try:
            awaited = started.throw(error)
        except StopIteration:
            return
        yield from _resume(started, awaited)
    else:
        yield from started


def _marked(awaited: object, *, waiting: bool) -> object:
    """Mark a future as one that a coroutine hands to its task to wait for, or as taken by that."""
    if isinstance(awaited, asyncio.Future):
        awaited._asyncio_future_blocking = waiting  # noqa: SLF001 - asyncio's protocol between futures and tasks
    return awaited

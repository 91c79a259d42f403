"""Reading this node's inbox: on a connection of its own, from where it was read last, whatever happens to it."""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import RedisError, ResponseError

from service.adapters.redis.address import Connect
from service.adapters.redis.directory import RedisDirectory
from service.adapters.redis.link import RETRY_S, Spawn, keep_running
from service.adapters.redis.membership import Membership
from service.adapters.redis.pipe import Pipe, packed
from service.adapters.redis.wire import Batch, Dismissal, PoisonError, decode_batch, decode_messages
from service.domain.effects import Effect, Incoming, RelayAnswer
from service.domain.ids import CallId, SessionId, UserId
from service.ports import Clock, Outlet, RedisWatch

BLOCK_MS = 1000
"""How long Redis keeps a read open when there is nothing."""

ANSWER_TIMEOUT_S = BLOCK_MS / 1000 + 0.5
ENTRIES_AT_ONCE = 200
DISMISS_AFTER_S = 1.0
"""A socket that lost its seat is closed after this time, should the other node not say so itself."""

FIRST = "0-0"

_log = logging.getLogger(__name__)


class Inbox:
    """Carries out what other nodes put into this node's inbox."""

    def __init__(
        self,
        connect: Connect,
        membership: Membership,
        directory: RedisDirectory,
        *,
        clock: Clock,
        max_entry_bytes: int,
        spawn: Spawn,
        watch: RedisWatch,
    ) -> None:
        self._connect = connect
        self._membership = membership
        self._directory = directory
        self._clock = clock
        self._max_entry_bytes = max_entry_bytes
        self._spawn = spawn
        self._watch = watch
        self._outlet: Outlet | None = None
        self._key = f"{membership.prefix}inbox:{membership.node}"
        self._last = FIRST
        self._is_new = False
        self._seen: dict[str, int] = {}
        self._loop = asyncio.get_running_loop()
        self._asked_s = 0.0
        membership.last_read = lambda: self._last
        membership.on_new_inbox = self._begin_again

    def attach(self, outlet: Outlet) -> None:
        """Name the node's own sockets."""
        self._outlet = outlet

    def start(self) -> None:
        """Read on, in the background."""
        self._spawn("keep inbox", keep_running("inbox", self._spawn, self._stay_reading))

    def _begin_again(self) -> None:
        """The stream is another one, and everything in it is new."""
        self._is_new = True

    # --- reading ------------------------------------------------------------------------------------------------

    async def _stay_reading(self) -> None:
        failures = 0
        while True:
            await self._membership.opened()
            try:
                connection = await self._connect()
                try:
                    failures = 0
                    await self._read(connection)
                finally:
                    await connection.disconnect(nowait=True)
            except (RedisError, OSError, EOFError, TimeoutError):
                await asyncio.sleep(RETRY_S[min(failures, len(RETRY_S) - 1)])
                failures += 1

    async def _read(self, connection: AbstractConnection) -> None:
        """Read until the connection ends, or does not answer.

        Raises:
            ConnectionError: that has happened.
        """
        pipe = Pipe(connection, lambda answer: self._answered(pipe, answer))
        self._ask(pipe)
        while not pipe.over.done() and (left_s := self._asked_s + ANSWER_TIMEOUT_S - self._loop.time()) > 0:
            await asyncio.wait((pipe.over,), timeout=left_s)
        raise ConnectionError

    def _ask(self, pipe: Pipe) -> None:
        if self._is_new:
            self._is_new, self._last = False, FIRST
        self._asked_s = self._loop.time()
        pipe.write(packed(("XREAD", "COUNT", ENTRIES_AT_ONCE, "BLOCK", BLOCK_MS, "STREAMS", self._key, self._last)))

    def _answered(self, pipe: Pipe, answer: Any) -> None:  # noqa: ANN401 - whatever Redis gives
        if isinstance(answer, ResponseError):
            pipe.give_up()
            return
        if answer is not None and not self._is_new:
            for entry_id, fields in answer[0][1]:
                self._last = entry_id.decode()
                self._watch_lag(self._take(dict(zip(fields[::2], fields[1::2], strict=True))))
        self._ask(pipe)

    def _watch_lag(self, messages: int) -> None:
        if messages:
            put_s = int(self._last.partition("-")[0]) / 1000 - self._membership.time.ahead_s
            self._watch.batch_received(messages, max(0.0, self._clock.now() - put_s))

    # --- one entry ----------------------------------------------------------------------------------------------

    def _take(self, entry: Mapping[bytes, bytes]) -> int:
        """Carry out an entry; gives how many messages it had. Whatever is in it, the next one is read."""
        if sum(map(len, entry.values())) > self._max_entry_bytes:
            self._watch.poison_ignored("too_large")
            return 0
        try:
            match entry:
                case {b"b": batch}:
                    return self._take_batch(decode_batch(batch))
                case {b"c": record}:
                    self._directory.call_changed(record)
                case {b"e": call_id}:
                    self._directory.call_over(CallId(call_id.decode()), entry.get(b"f"))
                case {b"u": user, b"s": session}:
                    self._seat_lost(UserId(user.decode()), SessionId(session.decode()))
                case {b"h": _}:
                    return 0
                case _:
                    self._watch.poison_ignored("malformed")
        except PoisonError as poison:
            self._watch.poison_ignored(poison.kind)
        except UnicodeDecodeError:
            self._watch.poison_ignored("malformed")
        return 0

    def _take_batch(self, batch: Batch) -> int:
        seen = self._seen.get(batch.origin, 0)
        if batch.seq <= seen:
            self._watch.poison_ignored("duplicate")
            return 0
        if seen and batch.seq > seen + 1:
            self._watch.messages_lost(batch.seq - seen - 1)
        self._seen[batch.origin] = batch.seq
        messages = decode_messages(batch, self._watch)
        for message in messages:
            if isinstance(message, Dismissal):
                self._dismiss(message.session)
            else:
                self._deliver(message)
        return len(messages)

    def _deliver(self, effect: Effect) -> None:
        if isinstance(effect, Incoming) and self._directory.copies.is_past_ringing(effect.call_id):
            return  # glare: the callee has answered by calling, on this node, before he could be rung
        for session in effect.to:
            if self._outlet is None or not self._outlet.deliver(session, effect):
                self._watch.delivery_missed()
            elif isinstance(effect, RelayAnswer):
                self._watch.answer_came(session)

    def _seat_lost(self, user: UserId, session: SessionId) -> None:
        self._directory.seat_lost(user, session)
        asyncio.get_running_loop().call_later(DISMISS_AFTER_S, self._dismiss, session)

    def _dismiss(self, session: SessionId) -> None:
        if self._outlet is not None:
            self._outlet.dismiss(session)

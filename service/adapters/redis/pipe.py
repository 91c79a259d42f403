"""A connection to Redis that stands, as bytes out and answers in.

redis-py makes the connection (address, TLS, password, Sentinel). To read and write, its connections take a task and
several coroutines for each answer, which cost more than the rest of a command does; so its transport goes on here,
with the parser that redis-py itself uses (ADR 0032).
"""

import asyncio
from collections.abc import Callable
from typing import Final

import hiredis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import NoScriptError, ResponseError

Argument = str | bytes | int

_NOT_SERVING: Final = ("LOADING", "READONLY", "MASTERDOWN")
"""How the answers of a server begin that is not the master, or not yet."""

_INCOMPLETE: Final = object()


def packed(command: tuple[Argument, ...]) -> bytes:
    """A command as Redis reads it."""
    return bytes(hiredis.pack_command(command))  # type: ignore[arg-type] # its stub knows commands of one word only


class Pipe(asyncio.Protocol):
    """Takes over the transport of a connection on which no answer is due.

    `on_answer` is given each answer as it comes: what Redis gives, or the `ResponseError` that it refuses with.

    Raises:
        ConnectionError: the connection has been closed.
    """

    def __init__(self, connection: AbstractConnection, on_answer: Callable[[object], None]) -> None:
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when the connection has ended, for whatever reason."""
        self._on_answer = on_answer
        self._answers = hiredis.Reader(replyError=_refusal, notEnoughData=_INCOMPLETE)
        writer = connection._writer  # noqa: SLF001 - redis-py shows its transport nowhere
        if writer is None:
            raise ConnectionError
        self._transport = writer.transport
        self._transport.set_protocol(self)

    def write(self, commands: bytes) -> None:
        """Send commands, packed. Whoever waits for their answers limits what may lie here."""
        self._transport.write(commands)

    def give_up(self) -> None:
        """End the connection now."""
        self._transport.abort()
        self.connection_lost(None)

    # --- asyncio.Protocol ---------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Hand the answers on that are complete."""
        self._answers.feed(data)
        try:
            while not self.over.done() and (answer := self._answers.gets(False)) is not _INCOMPLETE:
                if isinstance(answer, ResponseError) and str(answer).startswith(_NOT_SERVING):
                    self.give_up()
                else:
                    self._on_answer(answer)
        except hiredis.ProtocolError:
            self.give_up()

    def connection_lost(self, _exc: Exception | None) -> None:
        """Tell whoever waits for the end."""
        if not self.over.done():
            self.over.set_result(None)


def _refusal(message: str) -> ResponseError:
    return NoScriptError(message) if message.startswith("NOSCRIPT") else ResponseError(message)

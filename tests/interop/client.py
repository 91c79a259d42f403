"""What tests want of a client, whatever language it is written in.

Tests that take clients from a `Stage` (see `stage.py`) know this class alone.
"""

import abc
import asyncio
import itertools
from typing import Any

PATIENCE_S = 10.0

Heard = tuple[str, Any]
"""Name and payload of an event."""

numbers = itertools.count(1)
"""What makes names unique."""


class Client(abc.ABC):
    """One client, whose name is also that of its user.

    What it hears comes out of `next` in the order of arrival, its end as `("disconnect", reason)` with a reason in
    the words of the JavaScript client. What is sent is sent in order, by `emit` and `ask` alike.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.sid = ""
        self._heard: asyncio.Queue[Heard] = asyncio.Queue()

    @abc.abstractmethod
    def emit(self, event: str, *args: object) -> object:
        """Send an event without asking for an acknowledgement."""

    @abc.abstractmethod
    async def ask(self, event: str, *args: object) -> Any:
        """Send an event and give the acknowledgement."""

    @abc.abstractmethod
    def disconnect(self) -> None:
        """Say goodbye."""

    @abc.abstractmethod
    def close_engine(self) -> None:
        """Close the connection under the Socket.IO client, without a DISCONNECT packet."""

    @abc.abstractmethod
    def fall_silent(self) -> None:
        """Send nothing more, and do not notice."""

    @abc.abstractmethod
    async def transport(self) -> str:
        """The name of the transport in use."""

    async def next(self) -> Heard:
        """The next event."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await self._heard.get()
        except TimeoutError:
            raise AssertionError(f"{self.name} has heard nothing more") from None

    async def fence(self) -> None:
        """Prove that all that came before has been taken, and that the socket is open and works."""
        nobody = f"nobody-{next(numbers)}"
        self.emit("user:status", {"userId": nobody})
        assert await self.next() == ("user:status", {"userId": nobody, "isOnline": False, "isInCall": False})

"""The users of the simulation: who is online, who is free, and who comes back."""

import asyncio
import random
from collections.abc import Sequence

from service.supervisor import Supervisor
from synthetic.client import Client, SyntheticError
from synthetic.together import together

CONNECTS_AT_ONCE = 16
FIRST_BACKOFF_S = 0.5
MAX_BACKOFF_S = 10.0


class Population:
    """Keeps every user connected and joined, unless he is away on purpose.

    A user whose connection is lost comes back by himself, after a growing, jittered time.
    """

    def __init__(self, supervisor: Supervisor, chance: random.Random, timeout_s: float) -> None:
        self.reconnects = 0
        self._supervisor = supervisor
        self._chance = chance
        self._timeout_s = timeout_s
        self._everybody: Sequence[Client] = ()
        self._idle: list[Client] = []
        self._changed = asyncio.Event()

    async def arrive(self, clients: Sequence[Client]) -> None:
        """Connect everybody.

        Raises:
            SyntheticError: the first user could not get in; others that cannot will go on trying.
        """
        self._everybody = clients
        await self._enter(clients[0])
        for start in range(1, len(clients), CONNECTS_AT_ONCE):
            batch = clients[start : start + CONNECTS_AT_ONCE]
            await together(*(self._enter_or_return(client) for client in batch))

    async def pair(self) -> tuple[Client, Client]:
        """Two free users, as soon as there are two. They are busy from then on."""
        while len(self._idle) < 2:  # noqa: PLR2004 - a call has two parties
            self._changed.clear()
            await self._changed.wait()
        first, second = (self._idle.pop(self._chance.randrange(len(self._idle))) for _ in range(2))
        return first, second

    async def release(self, client: Client, away_s: float | None = None) -> None:
        """A user's call is over. He is free again, or says goodbye and stays `away_s` seconds away."""
        if away_s is not None:
            await client.say_goodbye()
            self._bring_back(client, away_s)
            return
        try:
            await client.hang_up(self._timeout_s)
        except SyntheticError:
            await client.cut()
        if client.connected:
            self._free(client)
        else:
            self._bring_back(client, 0.0)

    async def leave(self) -> None:
        """Everybody hangs up and says goodbye."""
        for start in range(0, len(self._everybody), CONNECTS_AT_ONCE):
            await together(*(self._goodbye(client) for client in self._everybody[start : start + CONNECTS_AT_ONCE]))

    def gone(self, client: Client) -> None:
        """A connection was lost. A user who is in a call is dealt with when that is over."""
        if client in self._idle:
            self._idle.remove(client)
            self._bring_back(client, FIRST_BACKOFF_S)

    def _free(self, client: Client) -> None:
        client.start_afresh()
        self._idle.append(client)
        self._changed.set()

    def _bring_back(self, client: Client, after_s: float) -> None:
        self._supervisor.spawn("bring a user back", self._return(client, after_s))

    async def _return(self, client: Client, after_s: float) -> None:
        backoff_s = FIRST_BACKOFF_S
        delay_s = after_s
        while True:
            await asyncio.sleep(delay_s * self._chance.uniform(0.5, 1.5))
            try:
                await self._enter(client)
            except SyntheticError:
                await client.cut()
                delay_s, backoff_s = backoff_s, min(2 * backoff_s, MAX_BACKOFF_S)
                continue
            self.reconnects += 1
            return

    async def _enter(self, client: Client) -> None:
        await client.connect(self._timeout_s)
        await client.join(self._timeout_s)
        self._free(client)

    async def _enter_or_return(self, client: Client) -> None:
        try:
            await self._enter(client)
        except SyntheticError:
            self._bring_back(client, FIRST_BACKOFF_S)

    async def _goodbye(self, client: Client) -> None:
        try:
            if client.connected:
                await client.hang_up(self._timeout_s)
        except SyntheticError:
            await client.cut()
        await client.say_goodbye()

"""Users whose status somebody on this node follows.

A change that is made on this node is told at once. Others are found by asking Redis for all followed users every
`LOOK_S`: one short script for a hundred of them, and nothing where nobody is followed. Telling the nodes that
follow would put their names into every script that changes a user.
"""

import asyncio
import logging
from collections.abc import Collection, Iterator, Sequence

from service.adapters.redis.membership import Membership
from service.adapters.redis.scripts import STATUSES
from service.domain.ids import UserId
from service.ports import OnChange, OutOfReachError, Spawn

LOOK_S = 1.0
USERS_PER_SCRIPT = 100

_log = logging.getLogger(__name__)


class Following:
    """The part of `service.ports.Directory` that tells of changes."""

    def __init__(self, membership: Membership, spawn: Spawn) -> None:
        self._membership = membership
        self._spawn = spawn
        self._known: dict[UserId, int] = {}
        self._on_change: OnChange = lambda _user: None

    def attach(self, on_change: OnChange) -> None:
        """See `service.ports.Directory.attach`."""
        self._on_change = on_change

    async def follow(self, users: Collection[UserId]) -> None:
        """See `service.ports.Directory.follow`."""
        new = [user for user in users if user not in self._known]
        self._known.update(await self._statuses(new))

    def unfollow(self, users: Collection[UserId]) -> None:
        """See `service.ports.Directory.unfollow`."""
        for user in users:
            self._known.pop(user, None)

    def changed_here(self, *users: UserId) -> None:
        """This node has changed the status of these users."""
        for user in users:
            if user in self._known:
                self._on_change(user)

    def start(self) -> None:
        """Look for changes until the process ends."""
        self._spawn("look for changes of followed users", self._look())

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                found = await self._statuses(tuple(self._known))
            except OutOfReachError:
                continue
            for user, status in found.items():
                if self._known.get(user, status) != status:
                    self._known[user] = status
                    self._on_change(user)

    async def _statuses(self, users: Sequence[UserId]) -> dict[UserId, int]:
        statuses: dict[UserId, int] = {}
        for some in _in_parts(users):
            statuses.update(zip(some, await self._membership.run(STATUSES, *some), strict=True))
        return statuses


def _in_parts(users: Sequence[UserId]) -> Iterator[Sequence[UserId]]:
    for start in range(0, len(users), USERS_PER_SCRIPT):
        yield users[start : start + USERS_PER_SCRIPT]

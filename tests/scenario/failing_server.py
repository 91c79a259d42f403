"""The real server, of which some parts fail with private texts: `python -m tests.scenario.failing_server`.

Its directory raises an exception with the user's id in it, for users whose id ends so. What it prints goes where its
log goes.
"""

import os
from unittest import mock

import uvloop

from service import bootstrap
from service.adapters.memory.directory import MemoryDirectory
from service.domain.ids import UserId
from service.domain.placing import Presence
from service.loading import load_settings

FATAL = "-fatal"


class FailingDirectory(MemoryDirectory):
    """Knows some users that it must not be asked about."""

    async def presence(self, user: UserId) -> Presence:
        """See `service.ports.Directory`."""
        if user.endswith(FATAL):
            raise KeyError(user)
        return await super().presence(user)


if __name__ == "__main__":
    os.dup2(2, 1)
    with mock.patch.object(bootstrap, "MemoryDirectory", FailingDirectory):
        uvloop.run(bootstrap.run(load_settings()))

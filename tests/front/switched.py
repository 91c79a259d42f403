"""A node as `serve` runs it, which SIGUSR1 makes not ready and SIGUSR2 ready again: `python -m tests.front.switched`.

A node is not ready while it cannot reach Redis. That takes a Redis; to the proxy it is the same.
"""

import asyncio
import signal
from typing import Any

from service import bootstrap
from service.loading import load_settings

_compose = bootstrap.compose


def compose(*arguments: Any, **options: Any) -> bootstrap.Node:
    """A node with switches."""
    node = _compose(*arguments, **options)
    loop = asyncio.get_running_loop()
    for number, ready in ((signal.SIGUSR1, False), (signal.SIGUSR2, True)):
        loop.add_signal_handler(number, setattr, node.health, "ready", ready)
    return node


if __name__ == "__main__":
    bootstrap.compose = compose
    asyncio.run(bootstrap.run(load_settings()))

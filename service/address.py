"""An address that cannot be listened on, told in one line to whoever starts the process."""

import os


class AddressError(Exception):
    """The address is taken, or not this machine's. The message says what to do; `set_with` is where it is chosen."""

    def __init__(self, host: str, port: int, error: OSError, set_with: str) -> None:
        super().__init__(
            f"cannot listen on {host} port {port} ({_problem(error)}); stop what uses it or set {set_with}"
        )


def _problem(error: OSError) -> str:
    """What the operating system says, without what asyncio or the resolver's caller add to it."""
    if error.errno and error.errno > 0:
        return os.strerror(error.errno)
    return str(error.strerror or error).partition(" (while ")[0]

import errno
import socket

import pytest

from service.address import AddressError


@pytest.mark.parametrize(
    ("error", "problem"),
    [
        (OSError(errno.EADDRINUSE, "in use (while attempting to bind on address ('h', 1))"), "Address already in use"),
        (
            socket.gaierror(socket.EAI_NONAME, "Name or service not known (while attempting to bind on address 'h')"),
            "Name or service not known",
        ),
        (OSError("no number"), "no number"),
    ],
)
def test_it_is_one_line_that_says_what_is_wrong_and_what_to_set(error: OSError, problem: str) -> None:
    expected = f"cannot listen on h port 1 ({problem}); stop what uses it or set PORT and HOST"
    assert str(AddressError("h", 1, error, "PORT and HOST")) == expected

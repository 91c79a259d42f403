"""The programs in docs/authentication.md do what they are there for, with the server's own code on the other side."""

import runpy
import time
from typing import Any

import pytest

from service.adapters.http_authoriser.authoriser import signature
from service.adapters.jwt.authenticator import Claims, JwtAuthenticator
from tests.support.needs import ROOT

SECRET = "a secret of more than thirty-two bytes"  # noqa: S105 - made up
BODY = b'{"caller":"alice","callee":"bob"}'


@pytest.fixture(scope="module")
def shown() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "examples" / "python" / "backend.py"))


async def test_the_token_is_one_that_the_server_takes(shown: dict[str, Any]) -> None:
    claims = Claims(issuer="https://login.example.com", audience="signalling", leeway_s=0, user="sub")
    judge = JwtAuthenticator(secrets=[SECRET], keys=None, claims=claims, required=True)
    identity = await judge.authenticate({"token": shown["token_for"]("alice", SECRET)})
    assert identity.user == "alice"


def test_the_signature_is_one_that_the_server_makes(shown: dict[str, Any]) -> None:
    check = shown["is_from_signalling"]
    now = int(time.time())
    good = signature(SECRET.encode(), now, BODY)
    assert check(good, BODY, SECRET.encode())
    assert not check(good, BODY + b" ", SECRET.encode())
    assert not check(good, BODY, b"another secret")
    assert not check(good.replace(f"t={now}", f"t={now + 1}"), BODY, SECRET.encode())
    assert not check(signature(SECRET.encode(), now - 400, BODY), BODY, SECRET.encode())
    assert not check("", BODY, SECRET.encode())

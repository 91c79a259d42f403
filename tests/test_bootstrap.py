"""What a start warns of."""

from typing import Any

import pytest

from service.bootstrap import warnings
from service.config import Settings

SECRET = "a secret of more than thirty-two bytes"  # noqa: S105 - made up


def warned(**settings: Any) -> str:
    return "; ".join(warnings(Settings(_env_file=None, **settings)))  # type: ignore[call-arg] # pydantic-settings takes it


def test_without_authentication() -> None:
    assert "AUTH_JWT_SECRETS" in warned()


def test_with_authentication() -> None:
    assert warned(auth_jwt_secrets=SECRET) == ""
    assert warned(auth_jwks_url="https://login.example.com/jwks.json") == ""
    assert warned(auth_jwt_secrets=SECRET, auth_required=True) == ""


def test_authentication_that_is_not_required() -> None:
    assert "AUTH_REQUIRED=false" in warned(auth_jwt_secrets=SECRET, auth_required=False)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
def test_keys_fetched_in_the_clear(host: str) -> None:
    assert "AUTH_JWKS_URL" in warned(auth_jwks_url="http://login.example.com/jwks.json")
    assert warned(auth_jwks_url=f"http://{host}:8080/jwks.json") == ""

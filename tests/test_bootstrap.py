"""What a start warns of, and what it makes of settings that list several things."""

from typing import Any

import pytest

from service.bootstrap import ice_servers, warnings
from service.config import Settings
from service.domain.ids import UserId

SECRET = "a secret of more than thirty-two bytes"  # noqa: S105 - made up


def warned(**settings: Any) -> str:
    chosen = {"client_url": "https://app.example.com", **settings}
    return "; ".join(warnings(Settings(_env_file=None, **chosen)))  # type: ignore[call-arg] # pydantic-settings takes it


def test_without_authentication() -> None:
    assert "AUTH_JWT_SECRETS" in warned()


def test_every_site_is_let_in() -> None:
    assert "CLIENT_URL" in warned(client_url="*", auth_jwt_secrets=SECRET)
    assert "CLIENT_URL" in warned(client_url="https://app.example.com,*", auth_jwt_secrets=SECRET)


def test_with_authentication() -> None:
    assert warned(auth_jwt_secrets=SECRET) == ""
    assert warned(auth_jwks_url="https://login.example.com/jwks.json") == ""
    assert warned(auth_jwt_secrets=SECRET, auth_required=True) == ""


def test_authentication_that_is_not_required() -> None:
    assert "AUTH_REQUIRED=false" in warned(auth_jwt_secrets=SECRET, auth_required=False)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
def test_what_is_trusted_in_the_clear(host: str) -> None:
    assert "AUTH_JWKS_URL" in warned(auth_jwks_url="http://login.example.com/jwks.json")
    assert warned(auth_jwks_url=f"http://{host}:8080/jwks.json") == ""
    assert "AUTHORIZE_URL" in warned(auth_jwt_secrets=SECRET, authorize_url="http://backend.example.com/")
    assert warned(auth_jwt_secrets=SECRET, authorize_url=f"http://{host}:8080/") == ""


def test_the_first_of_several_secrets_makes_the_passwords() -> None:
    def password(secret: str) -> str | None:
        urls = "turn:a.example, turns:b.example"
        settings = Settings(_env_file=None, stun_urls="stun:s.example", turn_urls=urls, turn_secret=secret)  # type: ignore[call-arg] # pydantic-settings takes it
        stun, turn = ice_servers(settings).for_user(UserId("alice"), None, 0.0).servers
        assert (stun.urls, turn.urls) == (("stun:s.example",), ("turn:a.example", "turns:b.example"))
        assert str(turn.username).startswith("600:")
        return turn.credential

    other = SECRET[::-1]
    assert password(f"{SECRET},{other}") == password(SECRET) != password(other)


def test_without_settings_no_server_is_named() -> None:
    settings = Settings(_env_file=None)  # type: ignore[call-arg] # pydantic-settings takes it
    assert ice_servers(settings).for_user(UserId("alice"), None, 0.0).servers == ()

"""A token for trying things out is one that the server with the same settings takes."""

import pytest

from service.__main__ import main
from service.adapters.jwt.authenticator import Claims, JwtAuthenticator
from service.errors import TokenExpiredError

SECRET, OLD = "the secret of a server in development", "the one that it had before that one.."


def judge(issuer: str | None = None, audience: str | None = None, user: str = "sub") -> JwtAuthenticator:
    claims = Claims(issuer=issuer, audience=audience, leeway_s=0, user=user)
    return JwtAuthenticator(secrets=[SECRET], keys=None, claims=claims, required=True)


def printed(capsys: pytest.CaptureFixture[str], *options: str) -> str:
    assert main(["token", "--user", "alice", *options]) == 0
    return capsys.readouterr().out.strip()


async def test_the_server_takes_it(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTH_JWT_SECRETS", f"{SECRET},{OLD}")
    assert (await judge().authenticate({"token": printed(capsys)})).user == "alice"
    settings = {"AUTH_ISSUER": "https://issuer.example", "AUTH_AUDIENCE": "here", "AUTH_USER_CLAIM": "name"}
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    strict = judge(*settings.values())
    assert (await strict.authenticate({"token": printed(capsys)})).user == "alice"
    with pytest.raises(TokenExpiredError):
        await strict.authenticate({"token": printed(capsys, "--life-s", "-5")})


def test_without_a_secret_there_is_none(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AUTH_JWT_SECRETS", raising=False)
    assert main(["token", "--user", "alice"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "AUTH_JWT_SECRETS" in said.err

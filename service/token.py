"""`signalling token --user alice`: a token as a backend would issue it, to try a server with authentication on."""

import argparse
import sys
import time
from typing import Any

import jwt

from service.config import Settings
from service.loading import ConfigError, load_settings
from service.values import split

EXIT_USAGE = 2
DEFAULT_LIFE_S = 600


def add_token_command(commands: Any) -> None:  # noqa: ANN401 - argparse's action of sub-commands has no public name
    """Add the command to the command line."""
    command = commands.add_parser("token", help="print a token for a user, signed with the first of AUTH_JWT_SECRETS")
    command.add_argument("--user", required=True, help="whose token")
    command.add_argument("--life-s", type=int, default=DEFAULT_LIFE_S, help="seconds until it expires")
    command.set_defaults(run=_print_token)


def make_token(settings: Settings, user: str, life_s: int) -> str:
    """A token that a server with these settings accepts.

    Raises:
        ConfigError: there is no secret to sign with.
    """
    secret = next(iter(split(settings.auth_jwt_secrets)), None)
    if secret is None:
        raise ConfigError("AUTH_JWT_SECRETS: there is nothing to sign a token with; set it as for the server")
    now_s = int(time.time())
    claims: dict[str, Any] = {settings.auth_user_claim: user, "iat": now_s, "exp": now_s + life_s}
    if settings.auth_issuer:
        claims["iss"] = settings.auth_issuer
    if settings.auth_audience:
        claims["aud"] = settings.auth_audience
    return jwt.encode(claims, secret, "HS256")


def _print_token(arguments: argparse.Namespace) -> int:
    try:
        print(make_token(load_settings(), arguments.user, arguments.life_s))  # noqa: T201 - what was asked for
    except ConfigError as error:
        print(f"signalling: {error}", file=sys.stderr)  # noqa: T201 - for the person who asked
        return EXIT_USAGE
    return 0

"""Who a token says that a socket's owner is, if the token can be believed.

What a token may choose is which of the known keys has signed it, and nothing else: an algorithm belongs to a key
before any token comes (RFC 8725, section 3.1), and addresses or keys in a header (`jku`, `jwk`, `x5u`, `x5c`) are not
looked at. PyJWT parses, verifies and checks the claims.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jwt
from jwt import ExpiredSignatureError, ImmatureSignatureError, PyJWK, PyJWTError
from jwt.types import Options
from jwt.utils import base64url_encode

from service.adapters.jwt.keys import ALGORITHMS, KeysUnavailableError, RemoteKeys
from service.domain.ids import UserId
from service.errors import (
    AuthenticationError,
    AuthenticationUnavailableError,
    TokenExpiredError,
    TokenInvalidError,
    TokenNotYetValidError,
)
from service.ports import Identity

MAX_TOKEN_CHARS = 8192
"""Longer ones are refused unread. Real tokens have a few hundred characters, with many claims a few thousand."""

MAX_USER_ID_CHARS = 128
"""The limit of `service.protocol.fields.MAX_USER_ID_CHARS`: a user that could not join is not let in."""

SECRET_ALGORITHM = "HS256"  # noqa: S105 - the name of an algorithm


class Claims(NamedTuple):
    """What a token must say. `issuer` and `audience` are compared where they are set.

    Without `audience` a token that has one is refused: it was made for somebody else (RFC 7519, section 4.1.3).
    `leeway_s` is allowed to `exp`, `nbf` and `iat`, for clocks that differ. `user` is the claim with the user's id.
    """

    issuer: str | None
    audience: str | None
    leeway_s: float
    user: str


class JwtAuthenticator:
    """`service.ports.Authenticator` by tokens, signed with a shared secret or with an issuer's key.

    Several secrets are good at once, so that one can follow another. Without `required`, a socket that sends no
    token is let in as nobody in particular; a token that is sent must be good all the same.
    """

    def __init__(self, *, secrets: Sequence[str], keys: RemoteKeys | None, claims: Claims, required: bool) -> None:
        self._secrets = tuple(_secret_key(secret) for secret in secrets)
        self._remote = keys
        self._claims = claims
        self._required = required
        self._options: Options = {"require": ["exp", claims.user], "enforce_minimum_key_length": True}

    async def authenticate(self, credentials: object) -> Identity:
        """See `service.ports.Authenticator.authenticate`. The token is the member `token` of an object."""
        token = credentials.get("token") if isinstance(credentials, dict) else None
        if token is None:
            if self._required:
                raise AuthenticationError
            return Identity()
        if not isinstance(token, str) or len(token) > MAX_TOKEN_CHARS or not token.isascii():
            raise TokenInvalidError
        return self._identity(self._verified(token, await self._candidates(token)))

    async def _candidates(self, token: str) -> Sequence[PyJWK]:
        """The keys that may have signed it; each with its own algorithm."""
        try:
            header = jwt.get_unverified_header(token)
        except PyJWTError:
            raise TokenInvalidError from None
        algorithm = header.get("alg")
        if algorithm == SECRET_ALGORITHM:
            return self._secrets
        if self._remote is None or algorithm not in ALGORITHMS:
            raise TokenInvalidError
        try:
            key = await self._remote.find(header.get("kid"))
        except KeysUnavailableError:
            raise AuthenticationUnavailableError from None
        return () if key is None else (key,)

    def _verified(self, token: str, keys: Sequence[PyJWK]) -> dict[str, Any]:
        for key in keys:
            try:
                return jwt.decode(
                    token,
                    key,
                    algorithms=[key.algorithm_name],
                    options=self._options,
                    audience=self._claims.audience,
                    issuer=self._claims.issuer,
                    leeway=self._claims.leeway_s,
                )
            except jwt.InvalidSignatureError:
                continue  # another secret may have signed it
            except ExpiredSignatureError:
                raise TokenExpiredError from None
            except ImmatureSignatureError:
                raise TokenNotYetValidError from None
            except PyJWTError:
                raise TokenInvalidError from None
        raise TokenInvalidError

    def _identity(self, claims: dict[str, Any]) -> Identity:
        user = claims[self._claims.user]
        if not isinstance(user, str) or not 0 < len(user) <= MAX_USER_ID_CHARS or not _is_text(user):
            raise TokenInvalidError
        try:
            expires_at = float(int(claims["exp"]))
        except OverflowError:
            raise TokenInvalidError from None
        return Identity(user=UserId(user), expires_at_s=expires_at + self._claims.leeway_s)


def _secret_key(secret: str) -> PyJWK:
    return PyJWK({"kty": "oct", "k": base64url_encode(secret.encode()).decode()}, SECRET_ALGORITHM)


def _is_text(value: str) -> bool:
    """Whether it can be written as UTF-8: JSON can name halves of characters, which nothing can send on."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True

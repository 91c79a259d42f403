"""Tokens and key sets of an issuer, good ones and bad ones."""

import functools
import hashlib
import hmac
import json
import time
from typing import Any, NamedTuple

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm
from jwt.utils import base64url_encode

OLD_SECRET = "the secret that was good until now...."  # noqa: S105 - made up
NEW_SECRET = "the secret that takes its place......."  # noqa: S105 - made up
ISSUER = "https://issuer.example"
AUDIENCE = "signalling"
USER = "user-1"
LIFE_S = 600


class IssuerKey(NamedTuple):
    """A key pair of the issuer. `public` is its entry in the key set."""

    algorithm: str
    private: Any
    public: dict[str, Any]

    def token(self, **changes: Any) -> str:
        """A token that this key has signed, with its id in the header."""
        return jwt.encode(claims(**changes), self.private, self.algorithm, {"kid": self.public["kid"]})


@functools.cache
def issuer_key(algorithm: str, kid: str) -> IssuerKey:
    """The issuer's key of this id. The same for the whole run: RSA keys take long to make."""
    private = _private(algorithm)
    make: Any = {"RS256": RSAAlgorithm, "ES256": ECAlgorithm, "EdDSA": OKPAlgorithm}[algorithm]
    entry = make.to_jwk(private.public_key(), as_dict=True)
    entry.pop("key_ops", None)
    return IssuerKey(algorithm, private, {**entry, "kid": kid, "alg": algorithm, "use": "sig"})


def _private(algorithm: str) -> Any:
    if algorithm == "RS256":
        return rsa.generate_private_key(65537, 2048)
    if algorithm == "ES256":
        return ec.generate_private_key(ec.SECP256R1())
    return ed25519.Ed25519PrivateKey.generate()


def key_set(*keys: IssuerKey | dict[str, Any]) -> bytes:
    """A JWK Set as it stands in an answer."""
    return json.dumps({"keys": [key.public if isinstance(key, IssuerKey) else key for key in keys]}).encode()


def claims(**changes: Any) -> dict[str, Any]:
    """What a good token says; a change of None leaves the claim out."""
    now = int(time.time())
    said = {"sub": USER, "iss": ISSUER, "aud": AUDIENCE, "iat": now, "exp": now + LIFE_S, **changes}
    return {name: value for name, value in said.items() if value is not None}


def secret_token(secret: str = NEW_SECRET, /, **changes: Any) -> str:
    """A token signed with a shared secret."""
    return forged({"alg": "HS256", "typ": "JWT"}, claims(**changes), secret.encode())


def forged(header: Any, payload: Any, key: bytes = b"", digest: str = "sha256") -> str:
    """A token made by hand, signed with any bytes as an HMAC key. Bytes stand for themselves, the rest for JSON."""
    parts = [part if isinstance(part, bytes) else json.dumps(part).encode() for part in (header, payload)]
    signed = b".".join(base64url_encode(part) for part in parts)
    signature = hmac.new(key, signed, getattr(hashlib, digest)).digest()
    return b".".join((signed, base64url_encode(signature))).decode()


def pem(private: PrivateKeyTypes) -> bytes:
    """The public half of a key, as it lies about in files."""
    return private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

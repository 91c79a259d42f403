"""What the application's backend does for the signalling server: it issues tokens, and checks who asks.

Not a server: two functions for the one that you have.
"""

import hashlib
import hmac
import time

import jwt


def token_for(user_id: str, secret: str) -> str:
    """A token with which a client is this user for ten minutes. `secret` is one of `AUTH_JWT_SECRETS`."""
    now = int(time.time())
    claims = {"sub": user_id, "iat": now, "exp": now + 600, "iss": "https://login.example.com", "aud": "signalling"}
    return jwt.encode(claims, secret, "HS256")


def is_from_signalling(header: str, body: bytes, secret: bytes, tolerance_s: float = 300) -> bool:
    """Whether `X-Signalling-Signature` belongs to this body and is recent. `secret` is `AUTHORIZE_SECRET`."""
    fields = dict(part.partition("=")[::2] for part in header.split(","))
    timestamp = fields.get("t", "")
    expected = hmac.new(secret, timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected.encode(), fields.get("v1", "").encode()):
        return False
    return abs(time.time() - int(timestamp)) <= tolerance_s

"""Which STUN and TURN servers a client is told of, and the password for them.

A TURN server relays media for those who cannot reach each other, at its owner's cost. So its passwords are made for
one user and a few minutes (draft-uberti-behave-turn-rest-00): the username says until when it is good and whom it was
made for, the password is an HMAC of the username, and the TURN server can check both with the secret that it shares
with this server, without asking anybody.

TURN servers log usernames. So the user stands in it as a pseudonym: the same for all his passwords, which lets quotas
and complaints be about one user, and a way back to him for nobody who lacks the secret.
"""

import base64
import hashlib
import hmac
from collections.abc import Sequence

import msgspec

from service.domain.ids import CallId, UserId

_PSEUDONYM_BYTES = 16


class IceServer(msgspec.Struct, frozen=True, omit_defaults=True):
    """One entry of `iceServers`, in the form of `RTCIceServer` (W3C WebRTC, section 4.2.4)."""

    urls: tuple[str, ...]
    username: str | None = None
    credential: str | None = None


class IceGrant(msgspec.Struct, frozen=True):
    """What a client may use, and for how many seconds from now its passwords open a relay. None: it has none."""

    servers: tuple[IceServer, ...]
    ttl_s: int | None = None


class IceServers:
    """The servers there are, and the secret of those that relay."""

    def __init__(
        self, *, stun_urls: Sequence[str], turn_urls: Sequence[str], turn_secret: str, turn_ttl_s: int
    ) -> None:
        """`turn_secret` is one that the TURN servers accept; it is not looked at without `turn_urls`."""
        self._stun = (IceServer(tuple(stun_urls)),) if stun_urls else ()
        self._turn_urls = tuple(turn_urls)
        self._secret = turn_secret.encode()
        self._ttl_s = turn_ttl_s

    def for_anybody(self) -> IceGrant:
        """What somebody may use whose name nobody has proved: nothing that costs anything."""
        return IceGrant(self._stun)

    def for_user(self, user: UserId, call_id: CallId | None, now_s: float) -> IceGrant:
        """What this user may use, in this call if there is one. `now_s` is in seconds since the epoch."""
        if not self._turn_urls:
            return self.for_anybody()
        username = f"{int(now_s) + self._ttl_s}:{self.pseudonym(user)}"
        if call_id is not None:
            username = f"{username}:{call_id}"
        # The draft and every TURN server say SHA-1; as an HMAC it has no known weakness.
        digest = hmac.new(self._secret, username.encode(), hashlib.sha1).digest()
        relay = IceServer(self._turn_urls, username, base64.b64encode(digest).decode())
        return IceGrant((*self._stun, relay), self._ttl_s)

    def pseudonym(self, user: UserId) -> str:
        """The user's name in the logs of TURN servers, as 32 hexadecimal digits."""
        digest = hmac.new(self._secret, b"turn user\0" + user.encode(), hashlib.sha256).digest()
        return digest[:_PSEUDONYM_BYTES].hex()

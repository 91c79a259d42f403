"""The public keys of a token issuer, fetched from where it publishes them (JWK Set, RFC 7517).

Rules:

1. A key that is known is used, whatever becomes of the server that it came from.
2. An unknown key id fetches the set anew, and so does a set older than `MAX_AGE_S`: that is how a key that was
   withdrawn comes to be refused.
3. Between two fetches lie at least `MIN_INTERVAL_S`, whether they succeed or not: made-up key ids cost the issuer's
   server nothing.
4. One fetch at a time. Who needs it waits for it; who needs it not goes on.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator
from typing import Any

import orjson
from jwt import PyJWK, PyJWTError

from service.adapters.http.client import HttpClient, HttpError
from service.ports import Observer

ALGORITHMS = ("RS256", "ES256", "EdDSA")
"""What public keys may sign with. Each key has one of them, so that a token's header chooses nothing."""

MAX_AGE_S = 600.0
MIN_INTERVAL_S = 10.0
FETCH_TIMEOUT_S = 3.0
MAX_SET_BYTES = 262_144
MAX_KEYS = 100

_log = logging.getLogger(__name__)


class KeysUnavailableError(Exception):
    """The keys cannot be had now, so it cannot be said whether this one exists."""


class _UnusableSetError(Exception):
    """What came is no set with a usable key in it. The message says why."""


class RemoteKeys:
    """The key set behind a URL, as of its last fetch that succeeded."""

    def __init__(self, url: str, now: Callable[[], float], observer: Observer | None = None) -> None:
        """`now` is `Clock.now`: seconds that never go back. `observer` hears of each fetch."""
        self._client = HttpClient(url, timeout_s=FETCH_TIMEOUT_S, max_bytes=MAX_SET_BYTES)
        self._now = now
        self._observer = observer or Observer()
        self._keys: tuple[PyJWK, ...] = ()
        self._fetched_at_s: float | None = None
        self._tried_at_s: float | None = None
        self._fetches = 0
        self._failing = False
        self._one_at_a_time = asyncio.Lock()

    async def find(self, key_id: str | None) -> PyJWK | None:
        """The key of this id. Without an id: the only key, if there is only one. None if there is no such key.

        Raises:
            KeysUnavailableError: it is not known, and whether it exists could not be asked now.
        """
        key = self._known(key_id)
        if key is not None and not self._is_old():
            return key
        if key_id is None and len(self._keys) > 1:
            return None
        fetches = self._fetches
        await self._refresh(needed=key is None)
        key = self._known(key_id)
        if key is None and self._fetches == fetches:
            raise KeysUnavailableError
        return key

    def _known(self, key_id: str | None) -> PyJWK | None:
        if key_id is None:
            return self._keys[0] if len(self._keys) == 1 else None
        return next((key for key in self._keys if key.key_id == key_id), None)

    def _is_old(self) -> bool:
        return self._fetched_at_s is None or self._now() - self._fetched_at_s >= MAX_AGE_S

    def _may_fetch(self) -> bool:
        return self._tried_at_s is None or self._now() - self._tried_at_s >= MIN_INTERVAL_S

    async def _refresh(self, *, needed: bool) -> None:
        if self._one_at_a_time.locked() and not needed:
            return
        async with self._one_at_a_time:
            if not self._may_fetch():
                return
            self._tried_at_s = self._now()
            try:
                self._keys = await self._fetch()
            except (HttpError, _UnusableSetError) as error:
                if not self._failing:
                    _log.warning("the keys of the token issuer cannot be fetched (%s); known ones stay in use", error)
                self._failing = True
                self._observer.keys_fetched(error.failure if isinstance(error, HttpError) else "unusable")
                return
            self._observer.keys_fetched("ok")
            self._fetched_at_s = self._now()
            self._fetches += 1
            if self._failing:
                _log.warning("the keys of the token issuer can be fetched again")
            self._failing = False

    async def _fetch(self) -> tuple[PyJWK, ...]:
        answer = await self._client.get()
        if answer.status != 200:  # noqa: PLR2004 - OK
            raise _UnusableSetError(f"status {answer.status}")
        return usable_keys(answer.body)


def usable_keys(text: bytes) -> tuple[PyJWK, ...]:
    """The keys of a JWK Set that may verify tokens. Keys for anything else are passed over, as RFC 7517 asks.

    Raises:
        _UnusableSetError: it is not a key set, or has no such key, or is too long.
    """
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise _UnusableSetError("not JSON") from None
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise _UnusableSetError("no key set")
    if len(entries) > MAX_KEYS:
        raise _UnusableSetError("too many keys")
    keys = tuple(key for entry in entries if isinstance(entry, dict) for key in _usable(entry))
    if not keys:
        raise _UnusableSetError("no usable key")
    return keys


def _usable(entry: dict[str, Any]) -> Iterator[PyJWK]:
    if entry.get("use", "sig") != "sig" or entry.get("alg") not in (None, *ALGORITHMS):
        return
    try:
        key = PyJWK(entry)
    except (PyJWTError, ValueError, TypeError, KeyError):  # its members are missing, of other types or senseless
        return
    if key.algorithm_name in ALGORITHMS:  # where the entry names none, it is the one of its kind
        yield key

"""Asks the backend whether one user may call another.

The request: `POST` of `{"caller": "...", "callee": "..."}` as JSON, with the header
`X-Signalling-Signature: t=TIMESTAMP,v1=SIGNATURE`. TIMESTAMP is in whole seconds since the epoch; SIGNATURE is the
HMAC-SHA256, in hexadecimal digits, of TIMESTAMP, a full stop, and the body byte for byte, with the shared secret as
the key. The backend compares it in constant time and refuses what is older than a few minutes.

The answer: status 200 and a JSON object with `allowed`, true or false. Anything else, or none in time, is a failure,
and what a failure means is a setting.
"""

import asyncio
import hashlib
import hmac
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

import orjson

from service.adapters.http.client import Answer, HttpClient, HttpError, in_a_task
from service.domain.ids import UserId
from service.ports import Authoriser, Observer

SIGNATURE_HEADER = "X-Signalling-Signature"
MAX_ANSWER_BYTES = 16_384
MAX_CACHED = 10_000
MAX_REQUESTS = 100
"""At the same time. Who comes on top waits for a place within the time that a request has anyway."""

_OK = 200
_log = logging.getLogger(__name__)

Pair = tuple[UserId, UserId]


class Rules(NamedTuple):
    """How the backend is asked. `timeout_s` is for everything, `cache_s` how long an answer is good for (0: once)."""

    timeout_s: float
    cache_s: float
    allow_on_failure: bool


class _UnusableAnswerError(Exception):
    """The backend answered something else than yes or no. The message says what."""


class HttpAuthoriser(Authoriser):
    """`service.ports.Authoriser` by a backend."""

    def __init__(
        self, *, url: str, secret: str, rules: Rules, now: Callable[[], float], observer: Observer | None = None
    ) -> None:
        """`now` is `Clock.now`: seconds that never go back. `observer` hears of each question."""
        self._client = HttpClient(url, timeout_s=rules.timeout_s, max_bytes=MAX_ANSWER_BYTES)
        self._secret = secret.encode()
        self._rules = rules
        self._now = now
        self._observer = observer or Observer()
        self._places = asyncio.Semaphore(MAX_REQUESTS)
        self._cache: OrderedDict[Pair, tuple[bool, float]] = OrderedDict()
        self._failing = False

    async def may_call(self, caller: UserId, callee: UserId) -> bool:
        """See `service.ports.Authoriser.may_call`. A failure is logged when it begins and when it is over."""
        pair = (caller, callee)
        known, good_until_s = self._cache.get(pair, (False, 0.0))
        if self._now() < good_until_s:
            return known
        asked_at = self._now()
        await in_a_task()
        try:
            async with asyncio.timeout(self._rules.timeout_s), self._places:
                allowed = _verdict(await self._ask(pair))
        except (TimeoutError, HttpError, _UnusableAnswerError) as error:
            self._failed(str(error) or "timeout")
            self._observer.leave_asked(_in_vain(error), self._now() - asked_at)
            return self._rules.allow_on_failure
        self._worked()
        self._observer.leave_asked("allowed" if allowed else "refused", self._now() - asked_at)
        self._keep(pair, allowed=allowed)
        return allowed

    async def _ask(self, pair: Pair) -> Answer:
        caller, callee = pair
        body = orjson.dumps({"caller": caller, "callee": callee})
        return await self._client.post(body, [(SIGNATURE_HEADER, signature(self._secret, int(time.time()), body))])

    def _keep(self, pair: Pair, *, allowed: bool) -> None:
        if self._rules.cache_s:
            self._cache[pair] = (allowed, self._now() + self._rules.cache_s)
            self._cache.move_to_end(pair)
            while len(self._cache) > MAX_CACHED:
                self._cache.popitem(last=False)

    def _failed(self, why: str) -> None:
        if not self._failing:
            meanwhile = "allowed" if self._rules.allow_on_failure else "refused"
            _log.warning("the backend does not say who may call whom (%s); calls are %s meanwhile", why, meanwhile)
        self._failing = True

    def _worked(self) -> None:
        if self._failing:
            _log.warning("the backend says again who may call whom")
        self._failing = False


def _in_vain(error: Exception) -> str:
    """Why there is no answer, in a word of `Observer.leave_asked`."""
    if isinstance(error, HttpError):
        return error.failure
    return "timeout" if isinstance(error, TimeoutError) else "unusable"


def signature(secret: bytes, timestamp_s: int, body: bytes) -> str:
    """The value of the header, as the module's description defines it."""
    digest = hmac.new(secret, b"%d." % timestamp_s + body, hashlib.sha256).hexdigest()
    return f"t={timestamp_s},v1={digest}"


def _verdict(answer: Answer) -> bool:
    if answer.status != _OK:
        raise _UnusableAnswerError(f"status {answer.status}")
    try:
        said = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        raise _UnusableAnswerError("not JSON") from None
    allowed = said.get("allowed") if isinstance(said, dict) else None
    if not isinstance(allowed, bool):
        raise _UnusableAnswerError("neither yes nor no")
    return allowed

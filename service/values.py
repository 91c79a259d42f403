"""How the texts of settings are read and checked."""

import re
from urllib.parse import urlsplit

from service.domain.budget import UNLIMITED, Rate

_RATE = re.compile(r"([0-9]{1,9})/([0-9]{0,6})(s|m|h)")
_PERIODS = {"s": 1.0, "m": 60.0, "h": 3600.0}
_REDIS = ("redis://", "rediss://", "redis+sentinel://", "rediss+sentinel://")


def split(value: str) -> tuple[str, ...]:
    """The parts of a setting that takes several, separated by commas."""
    return tuple(part for part in map(str.strip, value.split(",")) if part)


def check_url(value: str) -> None:
    """Check that this is a URL over HTTP to send requests to.

    Raises:
        ValueError: it is not; the message says what it must be.
    """
    try:
        url = urlsplit(value)
        _ = url.port
    except ValueError:
        raise ValueError("must be a URL") from None
    if url.scheme not in ("http", "https") or not url.hostname or not value.isascii() or " " in value:
        raise ValueError("must be a URL that starts with http:// or https://")
    if url.username is not None or url.fragment:
        raise ValueError("must be a URL without user name, password and fragment")


def rate_of(limit: str) -> Rate:
    """The rate of a setting such as `30/1s`; `0` is no limit.

    Raises:
        ValueError: it is neither.
    """
    if limit.strip() == "0":
        return UNLIMITED
    found = _RATE.fullmatch(limit.strip())
    period = int(found[2] or 1) if found else 0
    if found is None or not period:
        raise ValueError("must be a count and a period in s, m or h, or 0 for no limit")
    return Rate(int(found[1]), period * _PERIODS[found[3]])


def check_origin(origin: str) -> None:
    """Check that this is an origin as a browser sends it, or `*`.

    Raises:
        ValueError: it is neither; the message says what it must be.
    """
    scheme, separator, rest = origin.partition("://")
    host = rest.rstrip("/")
    if origin != "*" and not (scheme in ("http", "https") and separator and host and "/" not in host):
        raise ValueError("each origin must be * or a scheme and a host without a path")


def check_redis_url(value: str) -> None:
    """Check that this is a URL of Redis, as far as that can be seen from its scheme.

    Raises:
        ValueError: it is not; the message says what it must be.
    """
    if not value.startswith(_REDIS):
        raise ValueError("must start with redis://, rediss:// or redis+sentinel://")

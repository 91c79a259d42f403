"""What the command line asks for, checked: each problem is one line."""

import argparse
import math
from typing import NamedTuple
from urllib.parse import urlsplit

from synthetic.plan import TRANSPORTS, Kind, Traffic, users_for

MAX_USERS = 10_000
MAX_RATE = 1_000.0
MAX_PORT = 65_535


class UsageError(Exception):
    """The command line asks for what cannot be. The message is one line for the person who typed it."""


class SimulateOptions(NamedTuple):
    """The options of `signalling simulate`."""

    url: str
    seed: int
    traffic: Traffic
    users: int
    transport: str
    patience_s: float
    json: bool


class ProbeOptions(NamedTuple):
    """The options of `signalling probe`."""

    url: str
    interval_s: float
    timeout_s: float
    once: bool
    metrics_host: str
    metrics_port: int


def simulate_options(arguments: argparse.Namespace) -> SimulateOptions:
    """Check the command line of `signalling simulate`.

    Raises:
        UsageError: names the first option that is wrong.
    """
    traffic = Traffic(
        rate_per_s=_number("--rate", arguments.rate, 0.001, MAX_RATE),
        duration_s=_number("--duration", arguments.duration, 0, 1e9),
        mix=_mix(arguments.mix),
        ring_mean_s=_number("--ring-mean", arguments.ring_mean, 0.001, 3600),
        talk_mean_s=_number("--talk-mean", arguments.talk_mean, 0.001, 86_400),
        speed=_number("--speed", arguments.speed, 0.01, 1_000),
    )
    if arguments.transport not in ("mix", *TRANSPORTS):
        raise UsageError(f"--transport: one of mix, {', '.join(TRANSPORTS)}")
    users = arguments.users
    return SimulateOptions(
        url=_url(arguments.url),
        seed=_whole("--seed", arguments.seed, 0, 2**63),
        traffic=traffic,
        users=min(users_for(traffic), MAX_USERS) if users is None else _whole("--users", users, 2, MAX_USERS),
        transport=arguments.transport,
        patience_s=_number("--patience", arguments.patience, 0.1, 86_400),
        json=arguments.json,
    )


def probe_options(arguments: argparse.Namespace) -> ProbeOptions:
    """Check the command line of `signalling probe`.

    Raises:
        UsageError: names the first option that is wrong.
    """
    return ProbeOptions(
        url=_url(arguments.url),
        interval_s=_number("--interval", arguments.interval, 0.05, 86_400),
        timeout_s=_number("--timeout", arguments.timeout, 0.01, 300),
        once=arguments.once,
        metrics_host=arguments.metrics_host,
        metrics_port=_whole("--metrics-port", arguments.metrics_port, 1, MAX_PORT),
    )


def _url(text: str) -> str:
    problem = "--url: a scheme, a host and nothing more, for example http://127.0.0.1:8001"
    try:
        parts = urlsplit(text)
        port_is_good = parts.port is None or parts.port > 0
    except ValueError:
        raise UsageError(problem) from None
    plain = not (parts.path.strip("/") or parts.query or parts.fragment or parts.username or parts.password)
    if parts.scheme not in ("http", "https") or not parts.hostname or not port_is_good or not plain:
        raise UsageError(problem)
    return text.rstrip("/")


def _mix(text: str) -> dict[Kind, float]:
    example = f"for example answered=90,rejected=10; the kinds are {', '.join(Kind)}"
    mix: dict[Kind, float] = {}
    for part in text.split(","):
        name, equals, share = part.strip().partition("=")
        if not equals or name not in set(Kind) or Kind(name) in mix:
            raise UsageError(f"--mix: {part.strip()!r} is not a kind that is new and its share, {example}")
        mix[Kind(name)] = _number(f"--mix {name}", share, 0, 1e9)
    if not sum(mix.values()):
        raise UsageError(f"--mix: at least one share must be more than 0, {example}")
    return mix


def _number(name: str, text: str, low: float, high: float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        raise UsageError(f"{name}: a number from {low:g} to {high:g}, not {text!r}")
    return value


def _whole(name: str, text: str, low: int, high: int) -> int:
    try:
        value = int(text)
    except ValueError:
        value = low - 1
    if not low <= value <= high:
        raise UsageError(f"{name}: a whole number from {low} to {high}, not {text!r}")
    return value

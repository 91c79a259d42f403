"""`simulate` and `probe` on the command line. What they need is loaded when they run, so that `serve` does without."""

import argparse
import importlib.util
import sys
from typing import Any

EXIT_USAGE = 2
DEFAULT_URL = "http://127.0.0.1:8001"
DEFAULT_MIX = "answered=70,rejected=8,unanswered=6,cancelled=6,busy=3,lost=4,failed=3"


def add_simulate_command(commands: "argparse._SubParsersAction[Any]") -> None:
    """Add `simulate` to the command line."""
    simulate = commands.add_parser("simulate", help="place calls between simulated users on a running server")
    option = simulate.add_argument
    option("--url", default=DEFAULT_URL, help="the server (default %(default)s)")
    option("--rate", default="2", help="calls per second, on average (default %(default)s)")
    option("--duration", default="60", help="seconds during which calls are placed, 0 until stopped (%(default)s)")
    option("--seed", default="7", help="the same seed makes the same calls (default %(default)s)")
    option("--users", help="how many users there are (default: enough for the rate)")
    option("--mix", default=DEFAULT_MIX, help="how calls go, in shares (default %(default)s)")
    option("--ring-mean", default="4", help="seconds that a phone rings, on average (default %(default)s)")
    option("--talk-mean", default="30", help="seconds that people talk, on average (default %(default)s)")
    option("--speed", default="1", help="how many times faster people ring and talk (default %(default)s)")
    option("--transport", default="mix", help="mix, websocket, upgrade or polling (default %(default)s)")
    option("--patience", default="120", help="longest wait for a ring timeout or a lost peer (default %(default)s)")
    option("--json", action="store_true", help="print the summary as JSON")
    simulate.set_defaults(run=_simulate)


def add_probe_command(commands: "argparse._SubParsersAction[Any]") -> None:
    """Add `probe` to the command line."""
    probe = commands.add_parser("probe", help="place a test call every few seconds and measure it")
    option = probe.add_argument
    option("--url", default=DEFAULT_URL, help="the server (default %(default)s)")
    option("--interval", default="10", help="seconds from one call to the next (default %(default)s)")
    option("--timeout", default="5", help="seconds that each step may take (default %(default)s)")
    option("--once", action="store_true", help="one call and no metrics: the exit code is 0 if it worked, else 1")
    option("--metrics-host", default="127.0.0.1", help="where to serve metrics (default %(default)s)")
    option("--metrics-port", default="9465", help="where to serve metrics (default %(default)s)")
    probe.set_defaults(run=_probe)


def _simulate(arguments: argparse.Namespace) -> int:
    if not _can_call("simulate"):
        return EXIT_USAGE
    from synthetic import options, simulate  # noqa: PLC0415 - `serve` must do without these

    try:
        return simulate.main(options.simulate_options(arguments))
    except options.UsageError as error:
        return _usage(error)


def _probe(arguments: argparse.Namespace) -> int:
    if not _can_call("probe"):
        return EXIT_USAGE
    from synthetic import options, probe  # noqa: PLC0415 - `serve` must do without these

    try:
        return probe.main(options.probe_options(arguments))
    except options.UsageError as error:
        return _usage(error)


def _can_call(command: str) -> bool:
    if importlib.util.find_spec("aiohttp") is not None:
        return True
    _say(f"{command} needs aiohttp; install it with: pip install 'hellotalk-signalling[synthetic]'")
    return False


def _usage(error: Exception) -> int:
    _say(str(error))
    return EXIT_USAGE


def _say(text: str) -> None:
    print(f"signalling: {text}", file=sys.stderr)  # noqa: T201 - for the person who started it

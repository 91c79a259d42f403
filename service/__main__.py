"""The command line: `python -m service serve`, or `signalling serve` where the package is installed."""

import argparse
import asyncio
import sys

import uvloop

from service import __version__
from service.address import AddressError
from service.bootstrap import run
from service.export import add_export_command
from service.loading import ConfigError, load_settings
from service.token import add_token_command
from service.transport.tls import CertificateError
from synthetic.command import add_probe_command, add_simulate_command

EXIT_USAGE = 2
"""A start that cannot work: bad settings, an address that is taken."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    parser = argparse.ArgumentParser(prog="signalling", description=__import__("service").__doc__)
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    serve = commands.add_parser("serve", help="run the signalling server; settings come from the environment and .env")
    serve.set_defaults(run=_serve)
    add_simulate_command(commands)
    add_probe_command(commands)
    add_token_command(commands)
    add_export_command(commands)
    chosen = parser.parse_args(arguments)
    code: int = chosen.run(chosen)
    return code


def _serve(_arguments: argparse.Namespace) -> int:
    try:
        settings = load_settings()
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(run(settings))
    except (ConfigError, AddressError, CertificateError) as error:
        print(f"signalling: {error}", file=sys.stderr)  # noqa: T201 - for the person who started it
        return EXIT_USAGE
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The command line: starts that cannot work say why in one line."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from service import __version__
from tests.support.needs import ROOT
from tests.support.server import free_port, running_server

TLS = "TLS_CERT_FILE and TLS_KEY_FILE cannot be used"
TLS_EXAMPLE = "for example TLS_CERT_FILE=/etc/ssl/fullchain.pem TLS_KEY_FILE=/etc/ssl/privkey.pem"


def signalling(directory: Path, *arguments: str, **settings: str) -> "subprocess.CompletedProcess[str]":
    """Run the command line to its end in a directory of its own."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HOST": "127.0.0.1", "PORT": str(free_port()), **settings}
    return subprocess.run(
        [sys.executable, "-m", "service", *arguments],
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def complaint(ended: "subprocess.CompletedProcess[str]") -> str:
    """The one line that a start which cannot work writes."""
    assert ended.returncode == 2
    assert ended.stdout == ""
    (line,) = ended.stderr.splitlines()
    assert line.startswith("signalling: ")
    return line.removeprefix("signalling: ")


@pytest.mark.parametrize(
    ("name", "value", "example"),
    [
        ("PORT", "http", "PORT=8001"),
        ("RING_TIMEOUT_S", "nan", "RING_TIMEOUT_S=30"),
        ("LIMIT_CONNECTS", "thirty", "LIMIT_CONNECTS=30/1s"),
        ("LOG_LEVEL", "loud", "LOG_LEVEL=info"),
        ("CLIENT_URL", "https://app.example.com/path", "CLIENT_URL=https://app.example.com"),
    ],
)
def test_setting_that_makes_no_sense(tmp_path: Path, name: str, value: str, example: str) -> None:
    line = complaint(signalling(tmp_path, "serve", **{name: value}))
    assert line.startswith((f"{name}: must be ", f"{name}: each origin must be "))
    assert line.endswith(f", for example {example}")


@pytest.mark.parametrize("name", ["TLS_CERT_FILE", "TLS_KEY_FILE"])
def test_one_tls_file_without_the_other(tmp_path: Path, name: str) -> None:
    (tmp_path / "file.pem").touch()
    line = complaint(signalling(tmp_path, "serve", **{name: str(tmp_path / "file.pem")}))
    assert line == f"{TLS} (one of them is not set), {TLS_EXAMPLE}"


def test_tls_files_that_are_not_there(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing.pem")
    line = complaint(signalling(tmp_path, "serve", TLS_CERT_FILE=missing, TLS_KEY_FILE=missing))
    assert line == f"{TLS} (No such file or directory), {TLS_EXAMPLE}"


def test_tls_files_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "file.pem").write_text("neither a certificate nor a key\n", encoding="utf-8")
    file = str(tmp_path / "file.pem")
    line = complaint(signalling(tmp_path, "serve", TLS_CERT_FILE=file, TLS_KEY_FILE=file))
    assert line == f"{TLS} (they do not belong together), {TLS_EXAMPLE}"


def test_port_that_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        line = complaint(signalling(tmp_path, "serve", PORT=str(port)))
    assert f"127.0.0.1 port {port}" in line
    assert "set PORT" in line


def test_address_that_is_not_of_this_machine(tmp_path: Path) -> None:
    line = complaint(signalling(tmp_path, "serve", HOST="192.0.2.1"))
    assert "192.0.2.1" in line
    assert "HOST" in line


def test_env_file_that_is_not_text(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"PORT=80\xff\xfe01\n")
    line = complaint(signalling(tmp_path, "serve"))
    assert line.startswith(".env cannot be read")


def test_env_file_that_is_a_directory(tmp_path: Path) -> None:
    (tmp_path / ".env").mkdir()
    line = complaint(signalling(tmp_path, "serve"))
    assert line.startswith(".env cannot be read")


def test_env_file_with_a_value_that_makes_no_sense(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("RING_TIMEOUT_S=soon\n", encoding="utf-8")
    line = complaint(signalling(tmp_path, "serve"))
    assert line.startswith("RING_TIMEOUT_S: must be ")


def test_version(tmp_path: Path) -> None:
    ended = signalling(tmp_path, "--version")
    assert (ended.returncode, ended.stdout.strip()) == (0, __version__)


def test_no_command_shows_the_usage(tmp_path: Path) -> None:
    ended = signalling(tmp_path)
    assert ended.returncode == 2
    assert ended.stderr.startswith("usage: signalling")


def test_serve_ends_with_zero_when_told_to_stop(tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        assert server.stop(signal.SIGTERM) == 0

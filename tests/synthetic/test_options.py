import socket
import subprocess
import sys

import pytest

from service.__main__ import main
from tests.support.needs import ROOT

BAD_SIMULATIONS = {
    "--mix answered=70,maybe=30": "--mix",
    "--mix answered": "--mix",
    "--mix answered=x": "--mix answered",
    "--mix answered=-1": "--mix answered",
    "--mix answered=1,answered=2": "--mix",
    "--mix answered=0": "--mix",
    "--url 127.0.0.1:8001": "--url",
    "--url ws://127.0.0.1:8001": "--url",
    "--url http://127.0.0.1:99999": "--url",
    "--url http://user:secret@127.0.0.1:8001": "--url",
    "--url http://127.0.0.1:8001/app": "--url",
    "--rate 0": "--rate",
    "--rate nan": "--rate",
    "--duration -1": "--duration",
    "--seed seven": "--seed",
    "--users 1": "--users",
    "--ring-mean 0": "--ring-mean",
    "--talk-mean no": "--talk-mean",
    "--speed 0": "--speed",
    "--patience 0": "--patience",
    "--transport carrier-pigeon": "--transport",
}
BAD_PROBES = {
    "--url ftp://127.0.0.1": "--url",
    "--interval 0": "--interval",
    "--timeout never": "--timeout",
    "--metrics-port 70000": "--metrics-port",
}


@pytest.mark.parametrize(
    ("command", "arguments", "named"),
    [
        *(("simulate", arguments, named) for arguments, named in BAD_SIMULATIONS.items()),
        *(("probe", arguments, named) for arguments, named in BAD_PROBES.items()),
    ],
)
def test_a_usage_error_is_one_line(
    command: str, arguments: str, named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, *arguments.split()]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"signalling: {named}: ")
    assert err.count("\n") == 1
    assert "secret" not in err


def test_the_metrics_port_may_be_taken(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["probe", "--metrics-port", str(port)]) == 2
    err = capsys.readouterr().err
    assert f"port {port}" in err
    assert "--metrics-port" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("command", ["simulate", "probe"])
def test_without_aiohttp_the_command_says_so(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    assert main([command]) == 2
    assert capsys.readouterr().err == (
        f"signalling: {command} needs aiohttp; install it with: pip install 'hellotalk-signalling[synthetic]'\n"
    )


def test_the_server_does_without_the_callers() -> None:
    program = "import sys, service.__main__; print(*sorted(name for name in sys.modules if 'synthetic' in name))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["synthetic", "synthetic.command"]

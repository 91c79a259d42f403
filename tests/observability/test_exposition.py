import subprocess
import urllib.error
import urllib.request

import pytest

from observability import catalogue as c
from observability.exposition import Exposition
from observability.instruments import Instruments
from service.address import AddressError
from tests.support.needs import need_program
from tests.support.server import Server


def get(url: str, accept: str = "") -> tuple[int, str, str]:
    request = urllib.request.Request(url, headers={"Accept": accept} if accept else {})  # noqa: S310 - loopback
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - loopback
            return answer.status, answer.headers["Content-Type"], answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers["Content-Type"], error.read().decode()


def test_both_formats_and_health() -> None:
    instruments = Instruments((c.CALL_DURATION,))
    instruments.histogram(c.CALL_DURATION).observe_traced(2.0, "ab" * 16)
    exposition = Exposition(instruments.registry(), "127.0.0.1", 0)
    base = f"http://127.0.0.1:{exposition.port}"
    status, kind, classic = get(f"{base}/metrics")
    assert (status, kind.startswith("text/plain")) == (200, True)
    assert "trace_id" not in classic
    status, kind, openmetrics = get(f"{base}/metrics?x=1", "application/openmetrics-text; version=1.0.0")
    assert kind.startswith("application/openmetrics-text")
    assert '# {trace_id="' + "ab" * 16 in openmetrics
    assert openmetrics.endswith("# EOF\n")
    assert get(f"{base}/healthz")[::2] == (200, "ok\n")
    assert get(f"{base}/")[0] == 404
    exposition.close()
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"{base}/healthz", timeout=5)  # noqa: S310 - loopback


def test_an_address_that_is_taken_is_one_line() -> None:
    instruments = Instruments(())
    first = Exposition(instruments.registry(), "127.0.0.1", 0)
    expected = (
        f"cannot listen on 127.0.0.1 port {first.port} \\(Address already in use\\); "
        "stop what uses it or set METRICS_PORT and METRICS_HOST"
    )
    with pytest.raises(AddressError, match=expected):
        Exposition(instruments.registry(), "127.0.0.1", first.port)
    first.close()


def test_prometheus_own_check_finds_nothing_to_mend(server: Server) -> None:
    promtool = need_program("promtool", "prometheus")
    _, _, scrape = get(server.metrics_url)
    checked = subprocess.run([promtool, "check", "metrics"], input=scrape, capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
    assert "signalling_ready 1.0" in scrape
    assert "process_open_fds" in scrape

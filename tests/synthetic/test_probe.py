import re
import signal
from pathlib import Path

from observability.catalogue import PROBE_STEPS
from tests.support.redis import running_redis
from tests.support.server import Server, free_port, running_server
from tests.synthetic.conftest import SHORT
from tests.synthetic.support import Finished, back_again, scrape, signalling, started, stopped, wait_until

OK = 'signalling_probe_runs_total{result="ok"}'
FAILED = 'signalling_probe_runs_total{result="failed"}'
UNAVAILABLE = 'signalling_probe_runs_total{result="unavailable"}'
LAST_SUCCESS = "signalling_probe_last_success_timestamp_seconds"


def probe_once(url: str, *arguments: str) -> Finished:
    return signalling("probe", "--url", url, "--once", *arguments)


def test_a_healthy_server_passes_the_check(quick_server: Server) -> None:
    done = probe_once(quick_server.url)
    assert done.code == 0, done
    assert done.err == ""
    steps = ", ".join(rf"{step} \d+" for step in PROBE_STEPS)
    assert re.fullmatch(rf"probe ok: \d+ ms \({steps}\)\n", done.out)


def test_nobody_listens() -> None:
    done = probe_once(f"http://127.0.0.1:{free_port()}")
    assert done == (1, "probe failed at connect: cannot connect: connection refused\n", "")


def test_something_else_listens(quick_server: Server) -> None:
    done = probe_once(quick_server.metrics_url.removesuffix("/metrics"))
    assert done.code == 1
    assert done.out.startswith("probe failed at connect: cannot connect: ")
    assert done.out.count("\n") == 1


def test_a_server_that_hangs_fails_at_the_deadline(quick_server: Server) -> None:
    quick_server.process.send_signal(signal.SIGSTOP)
    try:
        done = probe_once(quick_server.url, "--timeout", "0.5")
    finally:
        quick_server.process.send_signal(signal.SIGCONT)
    assert done == (1, "probe failed at connect: cannot connect: no answer within 0.5 s\n", "")


def test_a_call_that_breaks_off_names_the_step(tmp_path: Path) -> None:
    with running_server(tmp_path, **SHORT | {"MAX_MESSAGE_BYTES": "1024"}) as server:  # no offer is as small as that
        done = probe_once(server.url)
    assert done == (1, "probe failed at offer: the connection is lost\n", "")


def test_its_metrics_say_when_calls_work_and_when_not(tmp_path: Path) -> None:
    port = free_port()
    metrics = f"http://127.0.0.1:{port}/metrics"
    arguments = ("probe", "--interval", "0.2", "--timeout", "2", "--metrics-port", str(port))
    with running_server(tmp_path, **SHORT) as server, started(*arguments, "--url", server.url) as process:
        wait_until(lambda: scrape(metrics).get(OK, 0) >= 2, "two good calls")
        healthy = scrape(metrics)
        server.stop()
        wait_until(lambda: scrape(metrics)[FAILED] >= 2, "two bad calls")
        broken = scrape(metrics)
        with back_again(server, **SHORT):
            wait_until(lambda: scrape(metrics)[OK] >= broken[OK] + 2, "it has recovered")
            recovered = scrape(metrics)
            done = stopped(process, signal.SIGTERM)
    assert healthy[FAILED] == 0
    for step in PROBE_STEPS:
        assert healthy[f'signalling_probe_step_duration_seconds_count{{step="{step}"}}'] >= 2
    assert 0 < healthy[LAST_SUCCESS] <= broken[LAST_SUCCESS] < recovered[LAST_SUCCESS]
    assert done.code == 0
    lines = done.out.splitlines()
    assert lines[0].startswith("probe ok: ")
    assert "probe failed at connect: cannot connect: connection refused" in lines
    assert lines[-1].startswith("probe ok: ")
    assert done.err == ""


def test_its_output_names_nobody(quick_server: Server) -> None:
    done = probe_once(quick_server.url)
    assert "probe-" not in done.out
    assert not re.search(r"[0-9a-f]{16}", done.out)


def test_a_node_without_redis_is_told_from_one_that_fails(tmp_path: Path) -> None:
    port = free_port()
    metrics = f"http://127.0.0.1:{port}/metrics"
    arguments = ("probe", "--interval", "0.2", "--timeout", "2", "--metrics-port", str(port))
    with (
        running_redis(tmp_path) as redis,
        running_server(tmp_path, **SHORT, REDIS_URL=redis.url) as server,
        started(*arguments, "--url", server.url) as process,
    ):
        wait_until(lambda: scrape(metrics).get(OK, 0) >= 1, "a good call")
        redis.kill()
        wait_until(lambda: scrape(metrics)[UNAVAILABLE] >= 2, "it says that Redis is away")
        redis.start()
        recovered = scrape(metrics)[OK]
        wait_until(lambda: scrape(metrics)[OK] > recovered, "it has recovered")
        done = stopped(process, signal.SIGTERM)
    assert "probe failed at join: the server refused user:join (unavailable)" in done.out.splitlines()

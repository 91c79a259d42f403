import mmap
import os
import resource
import sys
import time
import urllib.request

import pytest

from bench.load.crowd import Crowd
from bench.server import Process, node_command, raise_file_limit, running

SINK = (sys.executable, "-m", "bench.sink")


def test_cpu_is_the_time_that_the_process_says_it_used() -> None:
    here = Process(os.getpid(), 0)
    until = time.process_time() + 0.3
    before = here.cpu_s()
    while time.process_time() < until:
        pass
    assert here.cpu_s() - before == pytest.approx(0.3, abs=0.05)
    assert here.cpu_s() == pytest.approx(sum(os.times()[:2]), abs=0.05)


def test_memory_grows_with_what_is_held() -> None:
    here = Process(os.getpid(), 0)
    content = b"x" * 50_000_000
    before = here.resident_bytes()
    with mmap.mmap(-1, len(content)) as held:  # never what another test has given back
        held.write(content)
        assert here.resident_bytes() - before >= len(content) * 0.9


async def test_a_server_works_and_its_work_is_seen(peer: Process) -> None:
    before = peer.cpu_s()
    crowd = await Crowd.connect(peer.port, 4)
    await crowd.saturate(200)
    await crowd.leave()
    assert peer.cpu_s() > before


async def test_memory_settles() -> None:
    with running(SINK) as sink:
        assert 1_000_000 < await sink.settled_bytes(collects=False) < 1_000_000_000


def test_the_sink_takes_what_it_is_sent() -> None:
    with running(SINK) as sink:
        request = urllib.request.Request(f"http://127.0.0.1:{sink.port}/v1/traces", b"spans")
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - loopback
            assert answer.status == 200


def test_a_server_that_ends_at_once_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="did not start"), running((sys.executable, "-c", "")):
        pass


def test_a_server_is_stopped() -> None:
    with running(SINK) as sink:
        port = sink.port
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(f"http://127.0.0.1:{port}", timeout=1)


def test_without_node_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(FileNotFoundError, match="make node"):
        node_command()


def test_as_many_files_may_be_open_as_the_system_allows() -> None:
    limit = raise_file_limit()
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (limit, limit)

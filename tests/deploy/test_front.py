"""HAProxy and Redis as docker-compose.yml runs them: they fit the nodes, and their own programs accept them."""

import os
import re
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.config import Settings
from tests.support.needs import ROOT, need_program
from tests.support.server import free_port

CONFIG = ROOT / "deploy" / "haproxy" / "haproxy.cfg"
HAPROXY = CONFIG.read_text(encoding="utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
PROMETHEUS: dict[str, Any] = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text("utf-8"))
DEFAULTS = Settings.model_construct()
SECONDS = {"s": 1, "m": 60, "h": 3600}


def duration_s(option: str) -> int:
    """A time of HAProxy's configuration."""
    match = re.search(rf"(?m)^ +{option} (\d+)([smh])$", HAPROXY)
    assert match is not None, option
    return int(match[1]) * SECONDS[match[2]]


@pytest.mark.parametrize("given", [{}, {"FRONT_NAMESERVER": "127.0.0.1:53"}], ids=["as in compose", "as in tests"])
def test_haproxy_accepts_its_configuration(given: dict[str, str]) -> None:
    program = need_program("haproxy", "haproxy")
    result = subprocess.run(
        [program, "-c", "-f", str(CONFIG)], env={**os.environ, **given}, capture_output=True, text=True, check=False
    )
    assert (result.returncode, "WARNING" in result.stderr) == (0, False), result.stderr


@pytest.mark.parametrize("option", ["timeout client", "timeout server", "timeout tunnel"])
def test_who_is_silent_between_two_pings_is_not_cut_off(option: str) -> None:
    assert duration_s(option) > DEFAULTS.ping_interval_s + DEFAULTS.ping_timeout_s


def test_sessions_are_known_for_longer_than_a_poll_lasts() -> None:
    match = re.search(r"stick-table .* expire (\d+)m", HAPROXY)
    assert match is not None
    assert int(match[1]) * 60 > DEFAULTS.ping_interval_s + DEFAULTS.ping_timeout_s


def test_what_the_environment_may_say_is_what_is_documented() -> None:
    described = set(re.findall(r"(?m)^#   (FRONT_[A-Z]+)", HAPROXY))
    used = set(re.findall(r"(?:\$\{|defined\()(FRONT_[A-Z]+)", HAPROXY))
    assert described == used
    assert set(SERVICES["haproxy"]["environment"]) <= used


def test_haproxy_looks_for_the_nodes_where_they_are() -> None:
    assert SERVICES["haproxy"]["environment"]["FRONT_NODES"] == f"service:{DEFAULTS.port}"
    assert f"${{FRONT_NODES-service:{DEFAULTS.port}}}" in HAPROXY


def test_any_number_of_nodes_can_run() -> None:
    node = SERVICES["service"]
    assert node["deploy"]["replicas"] == 2
    assert not {"ports", "container_name", "hostname", "networks"} & set(node)
    slots = re.search(r"server-template node (\d+) ", HAPROXY)
    assert slots is not None
    assert int(slots[1]) >= 16


def test_nodes_share_redis_and_trust_the_front() -> None:
    environment = SERVICES["service"]["environment"]
    assert environment["REDIS_URL"] == "redis://redis:6379/0"
    assert environment["TRUSTED_PROXIES"] == "1"
    assert float(environment["RECONNECT_GRACE_S"]) > 0
    assert SERVICES["service"]["depends_on"] == {"redis": {"condition": "service_healthy"}}


def test_the_front_alone_is_public() -> None:
    public = {
        name: port
        for name, service in SERVICES.items()
        for port in service.get("ports", ())
        if not port.startswith("127.0.0.1:")
    }
    assert public == {"haproxy": "8001:8001"}


def test_a_node_has_the_time_that_its_stop_takes() -> None:
    grace_s = int(SERVICES["service"]["stop_grace_period"].removesuffix("s"))
    assert grace_s > float(SERVICES["service"]["environment"].get("SHUTDOWN_TIMEOUT_S", DEFAULTS.shutdown_timeout_s))


def test_prometheus_finds_every_node_and_the_front() -> None:
    jobs = {job["job_name"]: job for job in PROMETHEUS["scrape_configs"]}
    (nodes,) = jobs["signalling"]["dns_sd_configs"]
    assert nodes["names"] == ["service"]
    assert nodes["port"] == int(SERVICES["service"]["environment"]["METRICS_PORT"])
    assert jobs["haproxy"]["static_configs"] == [{"targets": ["haproxy:8404"]}]
    assert "${FRONT_METRICS-:8404}" in HAPROXY


def ask_redis(port: int, command: str) -> str:
    """What Redis answers to one command; empty until it listens."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(command.encode() + b"\r\n")
            return connection.recv(4096).decode()
    except ConnectionRefusedError:
        return ""


def test_redis_accepts_its_command_line_and_evicts_nothing(tmp_path: Path) -> None:
    need_program("redis-server", "redis-server")
    port = free_port()
    arguments = [*SERVICES["redis"]["command"], "--port", str(port), "--bind", "127.0.0.1"]
    with subprocess.Popen(arguments, cwd=tmp_path, stdout=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + 20
            while not ask_redis(port, "PING").startswith("+PONG"):
                assert time.monotonic() < deadline
                assert process.poll() is None
                time.sleep(0.02)
            assert "noeviction" in ask_redis(port, "CONFIG GET maxmemory-policy")
            assert str(256 * 2**20) in ask_redis(port, "CONFIG GET maxmemory")
            assert ask_redis(port, "CONFIG GET save").endswith("$0\r\n\r\n")
        finally:
            process.terminate()

"""The files that docker-compose.yml puts together: they exist, fit each other, and their own programs accept them."""

import fnmatch
import ipaddress
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from grafana.alert_types import FRONT_JOB, JOB, PROBE_JOB
from grafana.alertmanager import ENVIRONMENT
from grafana.slo import W30D
from service.config import MIN_SECRET_BYTES, Settings
from tests.support.needs import ROOT, need_program

COMPOSE = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
PROMETHEUS = (ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text(encoding="utf-8")
COTURN = (ROOT / "deploy" / "coturn" / "turnserver.conf").read_text(encoding="utf-8")
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
OWN_IMAGES = {"hellotalk-signalling:local", "hellotalk-signalling-synthetic:local"}
HAPROXY = (ROOT / "deploy" / "haproxy" / "haproxy.cfg").read_text(encoding="utf-8")
SERVICES = (
    "service",
    "haproxy",
    "redis",
    "simulate",
    "probe",
    "coturn",
    "prometheus",
    "alertmanager",
    "grafana",
    "tempo",
)


def service(name: str) -> str:
    """The part of a service, as text."""
    match = re.search(rf"(?ms)^  {name}:\n(.*?)(?=^  \w+:\n|^\w|\Z)", COMPOSE.partition("\nservices:\n")[2])
    assert match is not None, name
    return match[1]


def test_the_services_are_those_of_the_documentation() -> None:
    named = re.findall(r"(?m)^  ([a-z]+):$", COMPOSE.partition("\nservices:\n")[2].partition("\nvolumes:\n")[0])
    assert tuple(named) == SERVICES


def test_every_mounted_path_is_there() -> None:
    mounted = re.findall(r"(?m)^ +- (\./[^:]+):", COMPOSE)
    assert len(mounted) == 8
    assert [path for path in mounted if not (ROOT / path).exists()] == []


def test_images_are_pinned_to_a_version() -> None:
    images = [image for image in re.findall(r"image: (\S+)", COMPOSE) if image not in OWN_IMAGES]
    assert len(images) == 7
    assert all(re.fullmatch(r"[\w/]+:v?\d+\.\d+\.\d+", image) for image in images)


def test_the_service_is_given_settings_that_it_has() -> None:
    names = re.findall(r"(?m)^      ([A-Z_]+): ", service("service").partition("environment:\n")[2])
    assert names
    assert {name.lower() for name in names} <= set(Settings.model_fields)


def test_demo_traffic_runs_only_when_asked_for() -> None:
    synthetic = COMPOSE.partition("\nservices:\n")[0].partition("x-synthetic:")[2]
    assert "profiles: [demo]" in synthetic
    demo = {name for name in SERVICES if "<<: *synthetic" in service(name)}
    assert demo == {"simulate", "probe"}


@pytest.mark.parametrize("name", ["simulate", "probe"])
def test_the_command_line_of_the_demo_is_one_that_there_is(name: str) -> None:
    match = re.search(r"command: \[(.*)\]", service(name))
    assert match is not None
    command, *options = (word.strip().strip('"') for word in match[1].split(","))
    usage = subprocess.run(
        [sys.executable, "-m", "service", command, "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert {option for option in options if option.startswith("--")} <= set(re.findall(r"--[a-z-]+", usage.stdout))


def test_the_stages_that_compose_builds_are_there() -> None:
    wanted = re.findall(r"target: (\w+)", COMPOSE)
    assert sorted(wanted) == ["server", "synthetic"]
    assert set(wanted) <= set(re.findall(r"(?m)^FROM \S+ AS (\S+)$", DOCKERFILE))


def test_the_simulation_has_what_the_server_has_and_a_clients_library() -> None:
    def pins(name: str) -> set[str]:
        return set(re.findall(r"(?m)^[a-z0-9-]+==\S+", (ROOT / name).read_text(encoding="utf-8")))

    server, synthetic = pins("requirements.lock"), pins("requirements-synthetic.lock")
    assert server < synthetic
    assert any(pin.startswith("aiohttp==") for pin in synthetic - server)
    assert set(re.findall(r"-r /tmp/(\S+)", DOCKERFILE)) == {"requirements.lock", "requirements-synthetic.lock"}


def test_prometheus_keeps_as_much_as_the_objectives_look_back() -> None:
    retention = re.search(r"retention\.time=(\d+)d", service("prometheus"))
    assert retention is not None
    assert int(retention[1]) * 86_400 >= W30D.seconds


def test_promtool_accepts_prometheus_configuration_with_its_rules(tmp_path: Path) -> None:
    (tmp_path / "prometheus.yml").write_text(PROMETHEUS, encoding="utf-8")
    shutil.copytree(ROOT / "grafana" / "generated" / "prometheus", tmp_path / "rules")
    program = need_program("promtool", "prometheus")
    result = subprocess.run(
        [program, "check", "config", str(tmp_path / "prometheus.yml")], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.count("rules found") == 2


def test_prometheus_names_its_jobs_and_labels_as_the_alerts_expect() -> None:
    jobs = re.findall(r"job_name: (\S+)", PROMETHEUS)
    assert {JOB, PROBE_JOB, FRONT_JOB} <= set(jobs)
    assert re.search(rf"(?m)^    {ENVIRONMENT}: \w+$", PROMETHEUS)
    assert re.search(r"(?m)^    dashboards: http", PROMETHEUS)


def test_targets_and_peers_are_services() -> None:
    hosts = set(re.findall(r"\"([a-z]+):\d+\"", PROMETHEUS)) | set(re.findall(r"names: \[(\w+)\]", PROMETHEUS))
    hosts |= set(re.findall(r"(?:http|redis)://([a-z]+):\d+", COMPOSE.partition("\nservices:\n")[2]))
    assert {"service", "haproxy", "probe", "tempo", "coturn"} <= hosts
    assert hosts <= {*SERVICES, "localhost"}


def test_the_admin_api_stays_in_its_container() -> None:
    assert "ADMIN_TOKEN: ${ADMIN_TOKEN:-}" in service("service")
    assert "ADMIN_HOST" not in COMPOSE
    assert not re.search(rf"{Settings.model_fields['admin_port'].default}:", COMPOSE)


def test_coturn_accepts_the_passwords_that_the_service_makes() -> None:
    made_with = re.search(r"TURN_SECRET: (\S+)", service("service"))
    accepted = re.search(r"--static-auth-secret=(\S+)", service("coturn"))
    assert made_with is not None
    assert accepted is not None
    assert made_with[1] == accepted[1]
    default = re.fullmatch(r"\$\{TURN_SECRET:-(.+)\}", made_with[1])
    assert default is not None
    assert len(default[1]) >= MIN_SECRET_BYTES
    ports = set(re.findall(r"turn:localhost:(\d+)", service("service")))
    assert ports == set(re.findall(r"(?m)^listening-port=(\d+)$", COTURN)) == {"3478"}


def test_coturn_is_for_this_machine_and_relays_to_itself_alone() -> None:
    published = re.search(r"ports: \[(.*)\]", service("coturn"))
    assert published is not None
    assert all(port.strip(' "').startswith("127.0.0.1:") for port in published[1].split(","))
    own = re.findall(r"(?:ipv4_address: |--allowed-peer-ip=)([\d.]+)", service("coturn"))
    assert len(own) == 2
    assert len(set(own)) == 1
    subnet = re.search(r"subnet: ([\d./]+)", COMPOSE)
    assert subnet is not None
    assert ipaddress.ip_address(own[0]) in ipaddress.ip_network(subnet[1])
    ranges = [found.split("-") for found in re.findall(r"(?m)^denied-peer-ip=([\d.-]+)$", COTURN)]
    denied = [
        net
        for low, high in ranges
        for net in ipaddress.summarize_address_range(*map(ipaddress.IPv4Address, (low, high)))
    ]
    for private in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8", "169.254.0.0/16", "100.64.0.0/10"):
        assert any(ipaddress.IPv4Network(private).subnet_of(net) for net in denied), private


def test_the_configuration_of_coturn_holds_no_secret() -> None:
    assert not re.search(r"(?m)^(static-auth-secret|user|cli-password)=", COTURN)


def test_grafana_finds_what_is_mounted() -> None:
    provisioning = ROOT / "grafana" / "provisioning"
    text = "".join(path.read_text(encoding="utf-8") for path in provisioning.rglob("*.y*ml"))
    folder = re.search(r"path: (/\S+)", text)
    assert folder is not None
    assert f"./grafana/generated/dashboards:{folder[1]}:ro" in service("grafana")
    for variable in re.findall(r"url: \$(\w+)", text):
        assert f"{variable}: http://" in service("grafana")


def test_the_image_gets_what_it_copies_and_nothing_else() -> None:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert "*" in lines
    let_in = {line[1:] for line in lines if line.startswith("!")}
    copied = set(re.findall(r"(?m)^COPY (?!--from)(\S+)", DOCKERFILE))
    assert copied == let_in
    assert all((ROOT / path).exists() for path in copied)
    assert any(fnmatch.fnmatch("service/__pycache__", line) for line in lines)


def test_the_image_is_locked_and_does_not_run_as_root() -> None:
    assert "--require-hashes" in DOCKERFILE
    assert re.search(r"(?m)^USER (?!0|root)", DOCKERFILE)
    assert set(re.findall(r"(?m)^FROM (\S+:\S+)", DOCKERFILE)) == {"python:3.11-slim-bookworm"}


@pytest.mark.parametrize("word", ["latest", "privileged: true", "/var/run/docker.sock"])
def test_compose_has_none_of(word: str) -> None:
    assert word not in COMPOSE

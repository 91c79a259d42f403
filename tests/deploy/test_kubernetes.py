"""The manifests in deploy/: they refer to what there is, fit the settings, and ask for no rights."""

import re
import urllib.request
from typing import Any

import pytest
import yaml

from grafana.alert_types import JOB
from service.config import Settings
from tests.support.needs import ROOT
from tests.support.server import Server

DEPLOY = ROOT / "deploy"
KUSTOMIZATION: dict[str, Any] = yaml.safe_load((DEPLOY / "kustomization.yml").read_text("utf-8"))
OBJECTS: list[dict[str, Any]] = [
    found
    for resource in KUSTOMIZATION["resources"]
    for found in yaml.safe_load_all((DEPLOY / resource).read_text("utf-8"))
]
SETTINGS = dict(
    line.split("=", 1)
    for line in (DEPLOY / "kubernetes" / "settings.env").read_text("utf-8").splitlines()
    if not line.startswith("#")
)
SECRETS = {"REDIS_URL", "AUTH_JWT_SECRETS", "AUTHORIZE_SECRET", "TURN_SECRET", "ADMIN_TOKEN"}
WORKLOADS = ("signalling", "haproxy")

each_workload = pytest.mark.parametrize("name", WORKLOADS)


def of_kind(kind: str) -> dict[str, dict[str, Any]]:
    """The objects of a kind, by name."""
    found = [each for each in OBJECTS if each["kind"] == kind]
    named = {each["metadata"]["name"]: each for each in found}
    assert len(named) == len(found)
    return named


def pod(name: str) -> dict[str, Any]:
    """The pods of a deployment."""
    spec: dict[str, Any] = of_kind("Deployment")[name]["spec"]["template"]["spec"]
    return spec


def container(name: str) -> dict[str, Any]:
    """The one container of a deployment's pods."""
    (only,) = pod(name)["containers"]
    return dict(only)


def labels(name: str) -> dict[str, str]:
    """The labels of a deployment's pods."""
    found: dict[str, str] = of_kind("Deployment")[name]["spec"]["template"]["metadata"]["labels"]
    return found


def selected(selector: dict[str, str]) -> list[str]:
    """The deployments whose pods have these labels."""
    return [name for name in WORKLOADS if selector.items() <= labels(name).items()]


def ports(name: str) -> dict[str, int]:
    """The ports of a deployment's pods, by name."""
    return {port["name"]: port["containerPort"] for port in container(name)["ports"]}


def test_every_manifest_is_applied() -> None:
    there = {f"kubernetes/{path.name}" for path in (DEPLOY / "kubernetes").glob("*.yml")}
    assert set(KUSTOMIZATION["resources"]) == there
    generated = [
        path for each in KUSTOMIZATION["configMapGenerator"] for path in (*each.get("envs", ()), *each.get("files", ()))
    ]
    assert all((DEPLOY / path).is_file() for path in generated)
    assert set(of_kind("Deployment")) == set(WORKLOADS)
    assert KUSTOMIZATION["namespace"] in of_kind("Namespace")


def test_every_selector_finds_the_pods_that_it_means() -> None:
    for name in WORKLOADS:
        for kind in ("Deployment", "PodDisruptionBudget", "PodMonitor"):
            assert selected(of_kind(kind)[name]["spec"]["selector"]["matchLabels"]) == [name]
        assert selected(of_kind("NetworkPolicy")[name]["spec"]["podSelector"]["matchLabels"]) == [name]
        for spread in pod(name)["topologySpreadConstraints"]:
            assert selected(spread["labelSelector"]["matchLabels"]) == [name]
    services = {name: selected(service["spec"]["selector"]) for name, service in of_kind("Service").items()}
    assert services == {"signalling": ["haproxy"], "signalling-nodes": ["signalling"]}


def test_every_port_that_is_named_is_there() -> None:
    for service in of_kind("Service").values():
        (workload,) = selected(service["spec"]["selector"])
        assert all(port["targetPort"] in ports(workload) for port in service["spec"]["ports"])
    for name in WORKLOADS:
        for probe in ("livenessProbe", "readinessProbe"):
            way = container(name)[probe]
            assert (way.get("httpGet") or way["tcpSocket"])["port"] in ports(name)
        monitored = of_kind("PodMonitor")[name]["spec"]["podMetricsEndpoints"]
        assert [each["port"] for each in monitored] == ["metrics"]
        opened = [port["port"] for rule in of_kind("NetworkPolicy")[name]["spec"]["ingress"] for port in rule["ports"]]
        assert sorted(opened) == sorted(ports(name)) == ["clients", "metrics"]


def test_the_ports_are_those_of_the_programs() -> None:
    defaults = Settings.model_construct()
    assert ports("signalling") == {"clients": defaults.port, "metrics": defaults.metrics_port}
    assert defaults.admin_host == "127.0.0.1"  # for `kubectl port-forward` alone: no port, and not set elsewhere
    assert "ADMIN_HOST" not in SETTINGS
    config = (DEPLOY / "haproxy" / "haproxy.cfg").read_text("utf-8")
    listened = {name: int(port) for name, port in re.findall(r"\$\{FRONT_(LISTEN|METRICS)-:(\d+)\}", config)}
    assert ports("haproxy") == {"clients": listened["LISTEN"], "metrics": listened["METRICS"]}


def test_settings_are_ones_that_there_are_with_values_that_are_good() -> None:
    names = {*SETTINGS, *SECRETS, *(variable["name"] for variable in container("signalling")["env"])}
    assert {name.lower() for name in names} <= set(Settings.model_fields)
    assert not SECRETS & set(SETTINGS)
    settings = Settings.model_validate({name.lower(): value for name, value in SETTINGS.items()})
    assert settings.trusted_proxies == 1
    assert settings.reconnect_grace_s > 0


def test_references_lead_to_what_is_generated_or_documented() -> None:
    generated = {each["name"] for each in KUSTOMIZATION["configMapGenerator"]}
    sources = container("signalling")["envFrom"]
    mounted = {volume["name"]: volume for volume in pod("haproxy")["volumes"]}
    assert {sources[0]["configMapRef"]["name"], mounted["config"]["configMap"]["name"]} == generated
    assert set(mounted) == {mount["name"] for mount in container("haproxy")["volumeMounts"]}
    manual = (ROOT / "docs" / "deployment.md").read_text("utf-8")
    for kind, secret in (("generic", sources[1]["secretRef"]["name"]), ("tls", mounted["tls"]["secret"]["secretName"])):
        assert f"kubectl create secret {kind} {secret} " in manual


def test_haproxy_is_told_what_it_asks_for() -> None:
    environment = {variable["name"]: variable["value"] for variable in container("haproxy")["env"]}
    config = (DEPLOY / "haproxy" / "haproxy.cfg").read_text("utf-8")
    assert all(f"{{{name}" in config or f"({name})" in config for name in environment)
    headless = of_kind("Service")["signalling-nodes"]["spec"]
    host = f"signalling-nodes.{KUSTOMIZATION['namespace']}.svc.cluster.local"
    assert environment["FRONT_NODES"] == f"{host}:{headless['ports'][0]['port']}"
    assert (headless["clusterIP"], headless["publishNotReadyAddresses"]) == ("None", True)
    certificate = environment["FRONT_CERTIFICATE"]
    folder = next(mount["mountPath"] for mount in container("haproxy")["volumeMounts"] if mount["name"] == "tls")
    items = next(volume["secret"]["items"] for volume in pod("haproxy")["volumes"] if volume["name"] == "tls")
    assert {item["key"]: f"{folder}/{item['path']}" for item in items} == {
        "tls.crt": certificate,
        "tls.key": f"{certificate}.key",
    }


@pytest.mark.parametrize("probe", ["livenessProbe", "readinessProbe"])
def test_probes_ask_for_what_a_node_answers(server: Server, probe: str) -> None:
    asked = container("signalling")[probe]["httpGet"]
    assert asked["port"] == "clients"
    with urllib.request.urlopen(server.url + asked["path"]) as answer:  # noqa: S310 - loopback
        assert answer.status == 200


def test_only_readiness_depends_on_others() -> None:
    assert container("signalling")["livenessProbe"]["httpGet"]["path"] == "/livez"
    assert container("signalling")["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert all("httpGet" not in container("haproxy")[probe] for probe in ("livenessProbe", "readinessProbe"))


@each_workload
def test_a_pod_has_the_time_that_its_stop_takes(name: str) -> None:
    command, wait_s = container(name)["lifecycle"]["preStop"]["exec"]["command"]
    stop_s = float(SETTINGS["SHUTDOWN_TIMEOUT_S"])
    assert command == "sleep"
    assert pod(name)["terminationGracePeriodSeconds"] >= float(wait_s) + stop_s + 5


@each_workload
def test_pods_have_no_rights(name: str) -> None:
    assert of_kind("Namespace")["signalling"]["metadata"]["labels"] == {
        "pod-security.kubernetes.io/enforce": "restricted"
    }
    assert pod(name)["automountServiceAccountToken"] is False
    assert pod(name)["enableServiceLinks"] is False
    assert pod(name)["securityContext"]["runAsNonRoot"] is True
    assert pod(name)["securityContext"]["runAsUser"] > 0
    assert pod(name)["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container(name)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_nodes_run_as_the_user_of_their_image() -> None:
    user = re.search(r"(?m)^USER (\d+):(\d+)$", (ROOT / "Dockerfile").read_text("utf-8"))
    assert user is not None
    context = pod("signalling")["securityContext"]
    assert (context["runAsUser"], context["runAsGroup"]) == (int(user[1]), int(user[2]))


@each_workload
def test_a_pod_cannot_take_a_machine(name: str) -> None:
    resources = container(name)["resources"]
    assert set(resources["requests"]) == {"cpu", "memory"}
    assert "memory" in resources["limits"]
    assert of_kind("PodDisruptionBudget")[name]["spec"]["maxUnavailable"] == 1
    assert of_kind("Deployment")[name]["spec"]["replicas"] >= 2


def test_images_are_those_of_compose_or_given_a_version() -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
    assert container("haproxy")["image"] == compose["services"]["haproxy"]["image"]
    assert [image["name"] for image in KUSTOMIZATION["images"]] == [container("signalling")["image"]]
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", image["newTag"]) for image in KUSTOMIZATION["images"])


def test_targets_get_the_job_that_rules_and_alerts_go_by() -> None:
    monitor = of_kind("PodMonitor")["signalling"]["spec"]
    assert labels("signalling")[monitor["jobLabel"]] == JOB


def test_nobody_but_the_front_reaches_a_node() -> None:
    clients, _metrics = of_kind("NetworkPolicy")["signalling"]["spec"]["ingress"]
    (peer,) = clients["from"]
    assert selected(peer["podSelector"]["matchLabels"]) == ["haproxy"]

"""Who is told, and who is not: the routes as amtool walks them, the inhibitions in a real Alertmanager."""

import json
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from grafana import alertmanager
from grafana.alertmanager import INHIBITIONS, RECEIVERS
from grafana.alerts import GROUPS
from grafana.slo_alerts import FAST, SLOW
from tests.grafana.processes import running_alertmanager, until
from tests.support.needs import need_program

ALERTS = [alert for group in GROUPS for alert in group.alerts]
PAGES = {alert.name for alert in ALERTS if alert.severity == "page"}
UNSET: dict[str, str] = {}


@pytest.fixture(scope="module")
def configuration(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("alertmanager") / "alertmanager.yml"
    path.write_text(alertmanager.file(UNSET), encoding="utf-8")
    return path


def amtool(*arguments: str) -> str:
    program = need_program("amtool", "prometheus-alertmanager")
    result = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout.strip()


def test_amtool_finds_nothing_wrong(configuration: Path) -> None:
    assert f"{len(INHIBITIONS)} inhibit rules" in amtool("check-config", str(configuration))


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: " ".join((alert.name, *alert.labels.values())))
def test_an_alert_goes_where_its_severity_says(alert: Any, configuration: Path) -> None:
    labels = {"alertname": alert.name, "severity": alert.severity, **alert.labels}
    wanted = "watchdog" if alert.name == "Watchdog" else alert.severity
    receiver = amtool(
        "config",
        "routes",
        "test",
        f"--config.file={configuration}",
        *(f"{key}={value}" for key, value in labels.items()),
    )
    assert receiver == wanted


def test_receivers_can_be_chosen(tmp_path: Path) -> None:
    chosen = {receiver.variable: f"https://hooks.example/{receiver.name}" for receiver in RECEIVERS}
    text = alertmanager.file(chosen)
    path = tmp_path / "alertmanager.yml"
    path.write_text(text, encoding="utf-8")
    amtool("check-config", str(path))
    assert all(url in text for url in chosen.values())
    assert ".invalid" not in text


def test_the_placeholders_lead_nowhere() -> None:
    assert alertmanager.file(UNSET).count("http://alert-receiver.invalid/") == len(RECEIVERS)


def test_only_pages_silence_others_and_none_silences_itself() -> None:
    for inhibition in INHIBITIONS:
        sources, targets = (_names(matchers[0]) for matchers in (inhibition.source, inhibition.target))
        assert sources <= PAGES
        assert targets <= {alert.name for alert in ALERTS}
        assert not sources & targets


def _names(matcher: str) -> set[str]:
    return set(matcher.partition('"')[2].rstrip('"').split("|"))


def alert(name: str, **labels: str) -> dict[str, str]:
    severity = next(known.severity for known in ALERTS if known.name == name)
    return {"alertname": name, "severity": severity, "job": "signalling", **labels}


PROBING = {"job": "signalling-probe"}
SCENES: tuple[tuple[str, list[dict[str, str]], set[str]], ...] = (
    (
        "everything is down: one page",
        [
            alert("SignallingDown", scope="all"),
            alert("ProbeFailing", **PROBING),
            alert("NoCalls"),
            alert("ConnectionsCollapsed"),
            alert(FAST, slo="connects", window="1h"),
        ],
        {"SignallingDown"},
    ),
    (
        "one node of several is down: that explains no lack of calls",
        [alert("SignallingDown", scope="node", instance="a"), alert("NoCalls"), alert("ProbeFailing", **PROBING)],
        {"SignallingDown", "NoCalls", "ProbeFailing"},
    ),
    (
        "a node is blocked",
        [
            alert("EventLoopStalled", symptom="blocked", instance="a"),
            alert("ProbeFailing", **PROBING),
            alert("RingDeliverySlow"),
            alert("SetupSlow"),
        ],
        {"EventLoopStalled"},
    ),
    (
        "Redis is gone: one page, though nothing gets through",
        [
            alert("RedisDown", scope="all"),
            alert("ProbeFailing", **PROBING),
            alert("NoCalls"),
            alert("InboxLag", instance="a"),
            alert("MessagesLost", instance="a", problem="lost"),
            alert("ClusterSplit", instance="a"),
        ],
        {"RedisDown"},
    ),
    (
        "one node without Redis explains nothing of the others",
        [alert("RedisDown", scope="node", instance="a"), alert("ClusterSplit", instance="b"), alert("NoCalls")],
        {"RedisDown", "ClusterSplit", "NoCalls"},
    ),
    (
        "a node that is down is down for the proxy, too",
        [alert("SignallingDown", scope="node", instance="a"), alert("FrontNodeDown", job="haproxy", instance="f")],
        {"SignallingDown"},
    ),
    (
        "clients are gone",
        [alert("ConnectionsCollapsed"), alert("NoCalls"), alert("ReconnectStorm")],
        {"ConnectionsCollapsed"},
    ),
    (
        "a budget burns fast: its tickets wait, another's do not",
        [
            alert(FAST, slo="ring_delivery", window="1h"),
            alert(SLOW, slo="ring_delivery", window="1d"),
            alert("RingDeliverySlow"),
            alert("SetupSlow"),
        ],
        {FAST, "SetupSlow"},
    ),
    (
        "another objective's ticket",
        [alert(FAST, slo="connects", window="1h"), alert(SLOW, slo="call_setup", window="1d")],
        {FAST, SLOW},
    ),
    (
        "another installation on the same Alertmanager",
        [
            alert("SignallingDown", scope="all", environment="staging"),
            alert("ProbeFailing", environment="production", **PROBING),
        ],
        {"SignallingDown", "ProbeFailing"},
    ),
    (
        "another installation, whose job has the same name as everywhere",
        [
            alert("SignallingDown", scope="all", environment="staging"),
            alert("NoCalls", environment="production"),
            alert("ConnectionsCollapsed", environment="staging"),
            alert("ReconnectStorm", environment="production"),
            alert(FAST, slo="connects", window="1h", environment="staging"),
            alert(SLOW, slo="connects", window="1d", environment="production"),
        ],
        {"SignallingDown", "NoCalls", "ReconnectStorm", SLOW},
    ),
)


def get(url: str) -> Any:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:  # noqa: S310 - loopback
            text = response.read().decode()
    except (urllib.error.URLError, ConnectionError):
        return None
    return json.loads(text) if text.startswith("[") else text


def post(url: str, body: object) -> None:
    request = urllib.request.Request(  # noqa: S310 - loopback
        url, json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    urllib.request.urlopen(request, timeout=5).close()  # noqa: S310 - loopback


CANARY = [{"alertname": FAST, "job": "canary", "slo": "canary"}, {"alertname": SLOW, "job": "canary", "slo": "canary"}]
"""Sent last: once the one silences the other, Alertmanager has taken note of all that came before."""


@pytest.mark.parametrize(("firing", "told"), [scene[1:] for scene in SCENES], ids=[scene[0] for scene in SCENES])
def test_who_is_told(firing: list[dict[str, str]], told: set[str], configuration: Path, tmp_path: Path) -> None:
    with running_alertmanager(configuration, tmp_path) as url:
        for batch in (firing, CANARY):
            post(f"{url}/api/v2/alerts", [{"labels": labels} for labels in batch])

        def states(job: str, *, other: bool = False) -> dict[str, str]:
            return {
                entry["labels"]["alertname"]: entry["status"]["state"]
                for entry in get(f"{url}/api/v2/alerts") or []
                if (entry["labels"]["job"] == job) != other
            }

        until(lambda: states("canary").get(SLOW) == "suppressed")
        expected = {labels["alertname"]: "suppressed" for labels in firing} | dict.fromkeys(told, "active")
        assert states("canary", other=True) == expected

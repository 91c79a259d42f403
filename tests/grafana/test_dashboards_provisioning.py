"""Grafana's provisioning files fit the dashboards and the exemplars."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from observability.catalogue import CALL_DURATION
from observability.instruments import Histogram
from tests.grafana.boards import BOARDS
from tests.support.needs import ROOT

PROVISIONING = ROOT / "grafana" / "provisioning"


def _read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(path.read_text("utf-8"))
    assert content["apiVersion"] == 1
    return content


@pytest.fixture
def sources() -> dict[str, dict[str, Any]]:
    """The data sources by their type."""
    return {source["type"]: source for source in _read(PROVISIONING / "datasources/signalling.yaml")["datasources"]}


def test_each_source_that_a_dashboard_chooses_from_is_there(sources: dict[str, dict[str, Any]]) -> None:
    chosen = {
        variable["query"]
        for board in BOARDS
        for variable in board["templating"]["list"]
        if variable["type"] == "datasource"
    }
    assert chosen == sources.keys()
    assert sources["prometheus"]["isDefault"]


def test_an_exemplars_label_leads_to_the_traces(sources: dict[str, dict[str, Any]]) -> None:
    (destination,) = sources["prometheus"]["jsonData"]["exemplarTraceIdDestinations"]
    histogram = Histogram(CALL_DURATION.buckets)
    histogram.observe_traced(1.0, "4bf92f3577b34da6a3ce929d0e0e4736")
    (exemplar,) = histogram.exemplars.values()
    assert set(exemplar.labels) == {destination["name"]}
    assert destination["datasourceUid"] == sources["tempo"]["uid"]


def test_the_dashboards_are_read_only() -> None:
    (provider,) = _read(PROVISIONING / "dashboards/signalling.yaml")["providers"]
    assert provider["type"] == "file"
    assert not provider["allowUiUpdates"]
    assert Path(provider["options"]["path"]).name == "signalling"

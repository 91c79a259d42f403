"""What the hand-written documents name exists: files, headings, make targets, settings, events, codes."""

import itertools
import re
from pathlib import Path

import pytest

from grafana.slo import SLOS
from observability.calldetail import CallDetail
from observability.catalogue import METRICS
from service.config import Settings
from service.domain.effects import Reason
from service.errors import ALL_ERRORS
from service.protocol.admin import FAILURES, Explanation, LiveCall, NodeStatus
from service.protocol.client import CLIENT_MESSAGES
from service.protocol.server import SERVER_MESSAGES
from tests.docs.support import Document, documents, hand_written
from tests.support.needs import ROOT

EVENTS = frozenset({"server:draining"})
"""Planned. `docs/migrating.md` says so under "Not there yet", and nothing else may speak of them as if they were."""

EVENTS = frozenset(sent.event for sent in CLIENT_MESSAGES) | frozenset(told.event for told in SERVER_MESSAGES)
CODES = frozenset(error.code for error in ALL_ERRORS) | frozenset(reason.value for reason in Reason)
OTHER_NAMES = frozenset(
    {"SIGTERM", "SIGINT", "TRANSITIONS", "SIGNALLING_TESTS_STRICT", "REMOTE_ADDR", "ISC"}
    | {
        "SIGNALLING_PAGE_URL",
        "SIGNALLING_TICKET_URL",
        "SIGNALLING_WATCHDOG_URL",
        "SERVER",
        "OTEL_SERVICE_NAME",
        "REVISION",
    }
    | {"OTEL_RESOURCE_ATTRIBUTES", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"}
    | {"FRONT_LISTEN", "FRONT_CERTIFICATE", "FRONT_NODES", "FRONT_NAMESERVER", "FRONT_METRICS"}
)
"""Names in capitals that are no settings."""

OBSERVED = frozenset(
    {name for metric in METRICS for name in (metric.name, *metric.labels, *itertools.chain(*metric.labels.values()))}
    | {objective.name for objective in SLOS}
    | {failure.code for failure in FAILURES}
    | {name for kind in (CallDetail, LiveCall, NodeStatus, Explanation) for name in kind.__struct_fields__}
    | {"trace_id", "span_id", "ended_in", "lasted_s", "error_type", "trace_ratio"}
)
"""Names of the telemetry and the admin API: metrics, labels and their values, objectives, fields, codes."""

UNKNOWN_EVENT = "call:dance"
"""The documents' example of an event that does not exist."""

DIAGRAMS = ("sequenceDiagram", "stateDiagram-v2", "flowchart")

_EVENT = re.compile(r"(?:auth|user|call|ice|server):[a-z]+(?:-[a-z]+)*")
_SNAKE = re.compile(r"[a-z]+(?:_[a-z]+)+")
_CAPITALS = re.compile(r"\b[A-Z][A-Z_]{3,}\b")
_TARGET = re.compile(r"\bmake ([a-z-]+)")
_EXTERNAL = ("http://", "https://")

each_document = pytest.mark.parametrize("document", [pytest.param(each, id=each.name) for each in documents()])
each_hand_written = pytest.mark.parametrize("document", [pytest.param(each, id=each.name) for each in hand_written()])


@each_document
def test_links_lead_somewhere(document: Document) -> None:
    broken = [link for link in document.links if not link.startswith(_EXTERNAL) and not _resolves(document, link)]
    assert not broken


def _resolves(document: Document, link: str) -> bool:
    path, _, anchor = link.partition("#")
    target = (document.path.parent / path).resolve() if path else document.path
    if not target.exists() or ROOT not in (target, *target.parents):
        return False
    return not anchor or (target.suffix == ".md" and anchor in Document(target).anchors)


@each_hand_written
def test_make_targets_exist(document: Document) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    shell = "\n".join(fence.text for fence in document.fences if fence.info == "sh")
    named = {target for text in (*document.code_spans, shell) for target in _TARGET.findall(text)}
    assert named <= targets


@each_hand_written
def test_settings_exist(document: Document) -> None:
    settings = {name.upper() for name in Settings.model_fields}
    infos = [fence.info for fence in document.fences] + [fence.text for fence in document.fences if fence.info == "sh"]
    assigned = {name for text in infos for name in re.findall(r"\b([A-Z_]{3,})=", text)}
    named = {name for span in document.code_spans for name in _CAPITALS.findall(span)}
    assert named | assigned <= settings | OTHER_NAMES


@each_hand_written
def test_events_exist(document: Document) -> None:
    assert set(_EVENT.findall(document.text)) <= EVENTS | {UNKNOWN_EVENT}


@each_hand_written
def test_codes_exist(document: Document) -> None:
    shown = re.findall(r'"code": "([^"]+)"', document.text)
    assert set(shown) <= CODES
    if document.path.parent == ROOT / "docs":
        assert {span for span in document.code_spans if _SNAKE.fullmatch(span)} <= CODES | OBSERVED


@pytest.mark.parametrize("name", ["docs/workflow.md", "docs/migrating.md", "docs/client-integration.md"])
def test_every_event_is_explained(name: str) -> None:
    missing = EVENTS - set(_EVENT.findall(Document(ROOT / name).text)) - {"error"}
    assert not missing


def test_every_error_code_has_advice_for_clients() -> None:
    spans = set(Document(ROOT / "docs/client-integration.md").code_spans)
    assert {error.code for error in ALL_ERRORS} <= spans


def test_every_end_is_explained() -> None:
    spans = set(Document(ROOT / "docs/workflow.md").code_spans)
    assert {reason.value for reason in Reason} <= spans


@each_document
def test_diagrams_are_of_a_known_kind(document: Document) -> None:
    for fence in document.fences:
        if fence.info == "mermaid":
            lines = [line for line in fence.text.splitlines() if line.strip() and not line.startswith(("%%", "---"))]
            assert lines[0].split()[0] in DIAGRAMS


@each_hand_written
def test_fences_are_closed_and_named(document: Document) -> None:
    assert document.text.count("\n```") % 2 == 0
    assert all(fence.info for fence in document.fences)


def test_decisions_are_numbered_without_a_gap() -> None:
    numbers = sorted(int(path.name[:4]) for path in (ROOT / "docs" / "adr").glob("*.md"))
    assert numbers == list(range(1, len(numbers) + 1))


@pytest.mark.parametrize("path", sorted((ROOT / "docs" / "adr").glob("*.md")), ids=lambda path: path.name)
def test_a_decision_has_its_parts(path: Path) -> None:
    missing = {"context", "decision", "consequences", "measured"} - Document(path).anchors
    assert not missing

"""Every alert has a runbook and every runbook an alert, in the same form, with queries that ask for what exists."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from grafana.alerts import GROUPS, NAMES
from grafana.slo import SLOS, WINDOWS
from tests.grafana.names import RECORDED, problems
from tests.support.needs import ROOT, need_program

RUNBOOKS = ROOT / "docs" / "runbooks"
INDEX = RUNBOOKS / "README.md"
PAGES = sorted(path for path in RUNBOOKS.glob("*.md") if path != INDEX)
ALERTS = [alert for group in GROUPS for alert in group.alerts]
SECTIONS = ["Meaning", "Impact", "First three queries", "Likely causes", "Mitigation", "When to escalate"]


def sections(page: Path) -> dict[str, str]:
    parts = re.split(r"(?m)^## (.+)$", page.read_text(encoding="utf-8"))
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def queries(text: str) -> list[str]:
    return [block.strip() for block in re.findall(r"(?ms)^ *```promql\n(.*?)```", text)]


def test_every_alert_has_a_runbook_and_the_reverse() -> None:
    assert {page.stem for page in PAGES} == set(NAMES)


def test_the_index_names_each_once_under_its_severity() -> None:
    parts = sections(INDEX)
    for title, severity in (("Pages", "page"), ("Tickets", "ticket"), ("Always firing", "none")):
        linked = re.findall(r"\| \[(\w+)\]\((\w+)\.md\)", parts[title])
        assert all(name == target for name, target in linked)
        assert sorted(name for name, _ in linked) == sorted(
            {alert.name for alert in ALERTS if alert.severity == severity}
        )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_runbook_has_the_sections_that_people_look_for(page: Path) -> None:
    assert page.read_text(encoding="utf-8").startswith(f"# {page.stem}\n")
    parts = sections(page)
    assert [title for title in parts if title != "By objective"] == SECTIONS
    assert all(text.strip() for text in parts.values())
    assert len(queries(parts["First three queries"])) == 3


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_queries_of_a_runbook_ask_for_what_exists(page: Path) -> None:
    for query in queries(page.read_text(encoding="utf-8")):
        assert problems(query) == [], query


def test_queries_of_all_runbooks_are_promql(tmp_path: Path) -> None:
    rules = [
        {"record": "checked", "expr": query, "labels": {"page": page.stem, "number": str(number)}}
        for page in PAGES
        for number, query in enumerate(queries(page.read_text(encoding="utf-8")))
    ]
    path = tmp_path / "rules.yml"
    path.write_text(json.dumps({"groups": [{"name": "runbooks", "rules": rules}]}), encoding="utf-8")
    program = need_program("promtool", "prometheus")
    result = subprocess.run([program, "check", "rules", str(path)], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_a_runbook_refers_to_is_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert set(re.findall(r"`([A-Z][a-z]+(?:[A-Z][a-z]+)+)`", text)) <= set(NAMES)
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
        assert (page.parent / link).exists(), link


def test_the_link_of_an_alert_leads_to_a_heading() -> None:
    for alert in ALERTS:
        if alert.anchor:
            assert f"### {alert.anchor}\n" in (RUNBOOKS / f"{alert.name}.md").read_text(encoding="utf-8")


def test_the_objectives_page_says_what_the_code_does() -> None:
    text = (ROOT / "docs" / "slo.md").read_text(encoding="utf-8")
    for slo in SLOS:
        assert f"| `{slo.name}` | {round(slo.objective * 100, 2):g} % |" in text
    assert ", ".join(f"`{window.name}`" for window in WINDOWS) in text
    named = {name.replace("<window>", "5m") for name in re.findall(r"`(signalling:[\w:<>]+)`", text)}
    assert named <= set(RECORDED)

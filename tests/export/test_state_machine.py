"""`docs/state-machine.md`: every row of the table, and a diagram that Mermaid can read."""

import re

import pytest

from service.domain.call import TRANSITIONS, State, Transition
from service.domain.events import Accept, GraceOver, HangUp, Lost, Reject
from service.domain.placing import Refusal
from service.export.state_machine import state_diagram, state_machine_reference, transition_cells, wire_events
from tests.export.markdown import blocks, rows, sections

TEXT = state_machine_reference()
CHAPTERS = sections(TEXT, 2)
EDGE = re.compile(r"    (\[\*\]|\w+) --> (\[\*\]|\w+)(?: : ([^:;#]+))?")


def edges() -> dict[tuple[str, str], str]:
    """The edges of the diagram with their labels; fails on a line that is none."""
    head, *lines = state_diagram().splitlines()
    assert head == "stateDiagram-v2"
    found = [EDGE.fullmatch(line) for line in lines]
    assert None not in found, lines
    return {(edge[1], edge[2]): edge[3] or "" for edge in found if edge}


def test_the_diagram_has_the_edges_of_the_table_and_no_others() -> None:
    moves = {(row.state.value, row.to.value) for row in TRANSITIONS}
    assert set(edges()) == moves | {("[*]", State.RINGING.value), (State.ENDED.value, "[*]")}


@pytest.mark.parametrize("row", TRANSITIONS)
def test_every_row_is_on_its_edge(row: Transition) -> None:
    who = row.role.value if row.role else "server"
    lines = edges()[row.state.value, row.to.value].split("<br/>")
    code = f"[{row.reason.value}]" if row.reason else ""
    assert any(
        line.startswith((who, "either" if row.role else who))
        and re.search(rf"\b{row.event.__name__}\b", line)
        and line.endswith(code)
        for line in lines
    )


def test_the_diagram_is_in_the_document() -> None:
    assert blocks(TEXT, "mermaid") == [state_diagram() + "\n"]


def test_the_diagram_stays_small() -> None:
    assert len(state_diagram().splitlines()) < len(TRANSITIONS) / 3


def test_every_row_is_in_the_table_in_its_order() -> None:
    listed = rows(CHAPTERS["All rows"])[2:]
    assert listed == [list(transition_cells(row)) for row in TRANSITIONS]


def test_a_row_says_state_event_party_target_code_and_condition() -> None:
    row = next(row for row in TRANSITIONS if row.event is GraceOver and row.state is State.CONNECTED)
    assert transition_cells(row) == (
        "`connected`",
        "`GraceOver`",
        "server",
        "`ended`",
        "`connection_lost`",
        "grace is over",
    )


@pytest.mark.parametrize("row", [row for row in TRANSITIONS if row.when])
def test_every_condition_is_explained(row: Transition) -> None:
    explained = {cells[0]: cells[1] for cells in rows(CHAPTERS["Conditions"])[2:]}
    assert explained[transition_cells(row)[5]]


def test_events_are_told_by_their_names_on_the_wire() -> None:
    known = wire_events()
    assert known[Accept] == ("call:accept",)
    assert known[Reject] == ("call:reject",)
    assert known[HangUp] == ("call:end",)
    assert Lost not in known
    named = {cells[0]: cells[1] for cells in rows(CHAPTERS["Events"])[2:]}
    assert named["`HangUp`"] == "`call:end`"
    assert set(named) == {f"`{row.event.__name__}`" for row in TRANSITIONS}


def test_the_rules_are_numbered_lines() -> None:
    rules = re.findall(r"^(\d+)\. (.+)$", CHAPTERS["The rules"], flags=re.MULTILINE)
    assert [number for number, _ in rules] == [str(number + 1) for number in range(len(rules))]
    assert len(rules) >= 5


def test_the_glare_rule_and_the_order_of_refusals_are_told() -> None:
    chapter = CHAPTERS["Placing a call, and glare"]
    assert "Glare is one rule" in chapter
    assert re.findall(r"^\d+\. `(\w+)`$", chapter, flags=re.MULTILINE) == [each.value for each in Refusal]

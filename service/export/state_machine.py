"""`docs/state-machine.md`: the life of a call, made from the table that decides it."""

import json
import re
from collections.abc import Iterable

from service.domain import call, events, placing
from service.domain.call import TRANSITIONS, State, Transition
from service.domain.effects import Reason, Role
from service.domain.events import Event, PartyEvent
from service.domain.ids import SessionId
from service.domain.requests import InCall, Relay
from service.export.examples import example
from service.export.text import code, document, fence, first_paragraph, paragraphs, table
from service.protocol import codec
from service.protocol.client import CLIENT_MESSAGES
from service.protocol.translate import REASON_TEXTS

SERVER = "server"

_PICTURE = """\
Each edge lists what takes a call from one state to another, and who causes it. Where an edge ends a call, the code
that clients get stands in brackets. Where the same event stands on several edges, its condition decides; the table
of all rows has it.
"""


_UNNAMED = (
    "Events without a name on the wire come from the server itself: from a connection, a deadline, a stop or the "
    "admin API."
)

_CODES = """\
The code is what clients get unless the event itself says otherwise. Codes that no row names come with an event or
with a change of connection: {codes}."""


def state_machine_reference() -> str:
    """The states, events and rules of a call, in Markdown."""
    return document(
        [
            "# The life of a call",
            "",
            "Made from `TRANSITIONS` in `service/domain/call.py`, the table by which the server decides.",
            "",
            "## The picture",
            "",
            *_PICTURE.splitlines(),
            "",
            *fence("mermaid", state_diagram()),
            *_rules(),
            *_glare(),
            *_states(),
            *_events(),
            *_conditions(),
            *_all_rows(),
        ]
    )


# --- The picture -------------------------------------------------------------------------------------------


def state_diagram() -> str:
    """The table as a Mermaid diagram, one edge for each pair of states."""
    edges: dict[tuple[State, State], list[Transition]] = {}
    for row in TRANSITIONS:
        edges.setdefault((row.state, row.to), []).append(row)
    lines = ["stateDiagram-v2", f"    [*] --> {_initial()} : placed"]
    for (origin, target), rows in edges.items():
        lines.append(f"    {origin} --> {target} : {'<br/>'.join(_labels(rows))}")
    return "\n".join([*lines, f"    {State.ENDED} --> [*]"])


def _initial() -> State:
    """The state that no row leads to from another one."""
    reached = {row.to for row in TRANSITIONS if row.to is not row.state}
    return next(state for state in State if state not in reached)


def _labels(rows: Iterable[Transition]) -> list[str]:
    """One line for all events that the same parties cause with the same end."""
    roles: dict[tuple[type[Event], Reason | None], list[Role | None]] = {}
    for row in rows:
        known = roles.setdefault((row.event, row.reason), [])
        known += [] if row.role in known else [row.role]
    merged: dict[tuple[str, Reason | None], list[str]] = {}
    for (event, reason), who in roles.items():
        merged.setdefault((_who(who), reason), []).append(event.__name__)
    return [f"{who} {', '.join(names)}{f' [{reason}]' if reason else ''}" for (who, reason), names in merged.items()]


def _who(roles: Iterable[Role | None]) -> str:
    named = list(roles)
    if set(named) == set(Role):
        return "either"
    return " or ".join(role.value if role else SERVER for role in named)


# --- The rules in words ------------------------------------------------------------------------------------


def _rules() -> list[str]:
    """The numbered rules of the module's docstring, and what follows them."""
    blocks = (call.__doc__ or "").split("\n\n")
    numbered = next(block for block in blocks if block.startswith("1."))
    after = blocks[blocks.index(numbered) + 1 :]
    rules = [" ".join(rule.split()) for rule in re.split(r"\n(?=\d+\.)", numbered)]
    return ["## The rules", "", *rules, "", *(line for block in after for line in (" ".join(block.split()), ""))]


def _glare() -> list[str]:
    rule = paragraphs(placing.place)[1:]
    order = [f"{number}. {code(each.value)}" for number, each in enumerate(placing.Refusal, start=1)]
    return [
        "## Placing a call, and glare",
        "",
        *(line for paragraph in rule for line in (paragraph, "")),
        first_paragraph(placing.Refusal),
        "",
        *order,
        "",
    ]


def _states() -> list[str]:
    return ["## States", "", first_paragraph(State), "", ", ".join(code(state.value) for state in State), ""]


# --- Events and conditions ---------------------------------------------------------------------------------


def _events() -> list[str]:
    asked = wire_events()
    used = dict.fromkeys(row.event for row in TRANSITIONS)
    rows = [
        (code(event.__name__), ", ".join(code(name) for name in asked.get(event, ())), " ".join(paragraphs(event)))
        for event in used
    ]
    return [
        "## Events",
        "",
        paragraphs(events)[1],
        _UNNAMED,
        "",
        *table(("Event", "On the wire", "Meaning"), rows),
    ]


def wire_events() -> dict[type[Event], tuple[str, ...]]:
    """The clients' events behind each event of a call, found by asking every message what it comes to."""
    found: dict[type[Event], tuple[str, ...]] = {}
    for kind in CLIENT_MESSAGES:
        packet = f'2["{kind.event}",{json.dumps(example(kind))}]'
        request = codec.decode(codec.split(packet)).request(SessionId("session"))
        if isinstance(request, InCall | Relay):
            cause: PartyEvent = request.event
            found[type(cause)] = (*found.get(type(cause), ()), kind.event)
    return found


def _conditions() -> list[str]:
    guards = dict.fromkeys(row.when for row in TRANSITIONS if row.when is not None)
    rows = [(_condition(guard), first_paragraph(guard)) for guard in guards]
    return ["## Conditions", "", *table(("Condition", "Holds when"), rows)]


def _condition(guard: call.Guard | None) -> str:
    return "" if guard is None else getattr(guard, "__name__", "").replace("_", " ")


# --- The table ---------------------------------------------------------------------------------------------


def _all_rows() -> list[str]:
    unnamed = [reason for reason in Reason if reason not in {row.reason for row in TRANSITIONS}]
    return [
        "## All rows",
        "",
        *(line for paragraph in paragraphs(Transition) for line in (paragraph, "")),
        _CODES.format(codes=", ".join(_reason_text(reason) for reason in unnamed)),
        "",
        *table(("State", "Event", "From", "To", "Code", "When"), [transition_cells(row) for row in TRANSITIONS]),
    ]


def transition_cells(row: Transition) -> tuple[str, ...]:
    """One row of the table."""
    return (
        code(row.state.value),
        code(row.event.__name__),
        _who([row.role]),
        code(row.to.value),
        code(row.reason.value) if row.reason else "",
        _condition(row.when),
    )


def _reason_text(reason: Reason) -> str:
    return f"{code(reason.value)} ({REASON_TEXTS[reason]})" if reason in REASON_TEXTS else code(reason.value)

"""Structured logs: a line for each transition of a call and for each failure, with the ids of its trace.

On a terminal the lines are for people, elsewhere they are JSON. Nothing in them is private: no user, address,
description, candidate or token. Lines about calls do not go through `logging`, whose records cost more than the
events that they are about; they are collected and written a few times a second.
"""

import logging
import re
import time
import traceback
from collections.abc import Callable
from functools import lru_cache
from typing import TextIO

import orjson

from observability.catalogue import Milestone
from observability.record import CallRecord, CallWatcher
from observability.spans import root_span_id
from service.domain.effects import Role
from service.domain.ids import CallId
from service.domain.quality import CallStats, IceOutcome
from service.ports import Clock, EventHandled, Observer

LEVELS = ("debug", "info", "warning", "error")
FLUSH_S = 0.1
MAX_FAILURE_LINES_PER_S = 50
"""Refused events that get a line of their own; the rest of that second is counted in one."""

Line = dict[str, object]
_NOT_FOR_PEOPLE = frozenset({"level", "message", "exception", "span_id", "logger"})
_TRACE_ID = re.compile("[0-9a-f]{32}")


class LogWriter:
    """Writes lines that are at least as severe as `level`, in order. `people` chooses the readable form."""

    def __init__(self, stream: TextIO, clock: Clock, *, level: str, people: bool) -> None:
        self._levels = frozenset(LEVELS[LEVELS.index(level) :])
        self._stream = stream
        self._clock = clock
        self._render = readable if people else as_json
        self._waiting: list[tuple[float, Line]] = []

    def writes(self, level: str) -> bool:
        """Whether lines of this level are written."""
        return level in self._levels

    def write(self, line: Line) -> None:
        """Write a line within `FLUSH_S`, if its level asks for it."""
        if line["level"] not in self._levels:
            return
        self._waiting.append((time.time(), line))
        if len(self._waiting) == 1:
            self._clock.call_at(self._clock.now() + FLUSH_S, self.flush)

    def flush(self) -> None:
        """Write now what waits."""
        waiting, self._waiting = self._waiting, []
        if waiting:
            self._stream.write("".join(self._render(at, line) for at, line in waiting))
            self._stream.flush()


def as_json(at: float, line: Line) -> str:
    """One JSON object on one line. `at` is Unix time."""
    return orjson.dumps({"time": moment(at), **line}, option=orjson.OPT_APPEND_NEWLINE).decode()


def readable(at: float, line: Line) -> str:
    """A line for people: time, level, message, then the rest as name=value."""
    head = f"{moment(at)[11:23]} {line['level']!s:7} {line['message']}"
    rest = "".join(f" {name}={value}" for name, value in line.items() if name not in _NOT_FOR_PEOPLE)
    stack = line.get("exception")
    return f"{head}{rest}\n" + (f"{stack}\n" if stack else "")


def moment(at: float) -> str:
    """Unix time as ISO 8601 in UTC, to the millisecond."""
    second = int(at)
    return f"{_second(second)}.{int((at - second) * 1000):03d}Z"


@lru_cache(maxsize=4)
def _second(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))


class LineFormatter(logging.Formatter):
    """Gives lines of `logging` the same form. Of exceptions it keeps the type and the stack, never the text.

    A record with a `call_id` (`extra`) gets the ids of that call's trace.
    """

    def __init__(self, *, people: bool) -> None:
        super().__init__()
        self._render = readable if people else as_json

    def format(self, record: logging.LogRecord) -> str:
        """See `logging.Formatter.format`."""
        line: Line = {
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            "logger": record.name,
            **_ids(getattr(record, "call_id", None)),
        }
        if record.exc_info and record.exc_info[1] is not None:
            error = record.exc_info[1]
            line["error_type"] = type(error).__name__
            line["exception"] = "".join(traceback.format_tb(error.__traceback__)) + type(error).__name__
        return self._render(record.created, line).rstrip("\n")


def configure_logging(stream: TextIO, level: str, *, people: bool) -> None:
    """Let everything that uses `logging` write lines of the same form to `stream`."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(LineFormatter(people=people))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.getLogger("sanic").setLevel(logging.WARNING)


class FailureLog(Observer):
    """A line for each event that was refused or failed."""

    def __init__(self, write: Callable[[Line], None], now: Callable[[], float]) -> None:
        self._write = write
        self._now = now
        self._second = -1
        self._count = 0

    def event_refused(self, record: EventHandled) -> None:
        """See `Observer.event_refused`."""
        second = int(self._now())
        if second != self._second:
            self._tell_of_the_rest()
            self._second, self._count = second, 0
        self._count += 1
        if self._count <= MAX_FAILURE_LINES_PER_S:
            level = "info" if record.error is None else "error"
            line: Line = {"level": level, "message": "event refused", "event": record.event, "outcome": record.outcome}
            if record.error is not None:
                line |= {"message": "event failed", "error_type": type(record.error).__name__}
            self._write(line | _ids(record.call_id))

    def _tell_of_the_rest(self) -> None:
        unwritten = self._count - MAX_FAILURE_LINES_PER_S
        if unwritten > 0:
            self._write({"level": "warning", "message": "more events refused than are logged", "count": unwritten})


class CallLog(CallWatcher):
    """A line for each transition of a call."""

    def __init__(self, write: Callable[[Line], None]) -> None:
        self._write = write

    def placed(self, record: CallRecord) -> None:
        """See `CallWatcher.placed`."""
        self._tell(record, "call placed", {"media": record.call.media.value})

    def reached(self, record: CallRecord, milestone: Milestone) -> None:
        """See `CallWatcher.reached`."""
        if milestone is Milestone.ANSWERED:
            self._tell(record, "call answered", {"glare": True} if record.glare else {})
        elif milestone is Milestone.CONNECTED:
            self._tell(record, "call connected", {})

    def node_lost(self, record: CallRecord, result: str) -> None:
        """See `CallWatcher.node_lost`."""
        self._tell(record, "node of a party lost", {"result": result})

    def resumed(self, record: CallRecord, result: str) -> None:
        """See `CallWatcher.resumed`."""
        self._tell(record, "call resumed", {"result": result})

    def ice_came_to(self, record: CallRecord, role: Role, outcome: IceOutcome, stats: CallStats) -> None:
        """See `CallWatcher.ice_came_to`. That it connected is the usual, and has no line."""
        if outcome is not IceOutcome.CONNECTED:
            stage: Line = {} if stats.failed_in is None else {"stage": stats.failed_in.value}
            self._tell(record, f"ice {outcome}", stage)

    def ended(self, record: CallRecord) -> None:
        """See `CallWatcher.ended`."""
        call = record.call
        lasted = (call.ended_at_s or call.placed_at_s) - call.placed_at_s
        facts: Line = {
            "reason": call.reason.value if call.reason else None,
            "fault": record.fault.value if record.fault else None,
            "ended_in": record.ended_in.value,
            "lasted_s": round(lasted, 3),
        }
        self._tell(record, "call ended", facts)

    def _tell(self, record: CallRecord, message: str, facts: Line) -> None:
        self._write({"level": "info", "message": message, **_ids(record.call.id), **facts})


@lru_cache(maxsize=1024)
def _ids(call_id: CallId | None) -> Line:
    """The ids of a call's trace. A client may send anything as a call id; then there are none."""
    if call_id is None or _TRACE_ID.fullmatch(call_id) is None:
        return {}
    return {"trace_id": call_id, "span_id": root_span_id(call_id)}

"""Call detail records: one JSON line for each ended call, for whoever counts, bills or studies calls.

A thread of its own writes them, so that a disk or a reader that stands still holds up no call.
"""

import logging
import os
import queue
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import msgspec

from observability.calldetail import CallDetail
from observability.catalogue import Milestone
from observability.explanation import talked_s, unix_s
from observability.logs import moment
from observability.record import CallRecord, CallWatcher
from service.domain.quality import CandidatePair, Path

MAX_WAITING = 50_000
"""Records that may wait to be written, at most 25 MB: a stop ends all calls at once. What comes beyond is lost."""

CLOSE_S = 3.0
"""How long the end of the process waits for what is not written yet."""

OFF, STDOUT = "off", "stdout"

_log = logging.getLogger(__name__)


class CallRecords(CallWatcher):
    """Hands a line to `write` for each call that this node ended."""

    def __init__(self, write: Callable[[bytes], None], node: Callable[[], str | None]) -> None:
        self._write = write
        self._node = node
        self._encode = msgspec.json.Encoder().encode

    def settled(self, record: CallRecord) -> None:
        """See `CallWatcher.settled`. A call that goes on elsewhere, or that another node ended, has its line there."""
        if record.fault is not None:
            self._write(self._encode(detail(record, self._node())) + b"\n")


def detail(record: CallRecord, node: str | None) -> CallDetail:
    """The record of an ended call."""
    call, talked = record.call, talked_s(record)
    ended_s = call.ended_at_s or call.placed_at_s

    def at(at_s: float | None) -> str | None:
        return None if at_s is None else moment(unix_s(record, at_s))

    return CallDetail(
        schema=1,
        call_id=call.id,
        node=node,
        media=call.media.value,
        placed_at=moment(unix_s(record, call.placed_at_s)),
        answered_at=at(record.reached.get(Milestone.ANSWERED)),
        connected_at=at(record.reached.get(Milestone.CONNECTED)),
        ended_at=moment(unix_s(record, ended_s)),
        lasted_s=round(ended_s - call.placed_at_s, 3),
        talked_s=None if talked is None else round(talked, 3),
        reason=str(call.reason),
        fault=str(record.fault),
        ended_in=record.ended_in.value,
        ended_by=str(record.ended_by),
        glare=record.glare,
        absences=len(record.absences),
        renegotiations=len(record.renegotiations),
        path=_path([told.pair for told in record.media.values() if told.pair is not None]),
        loss_ratio=_worst(record, "loss_ratio"),
        round_trip_s=_worst(record, "round_trip_s"),
    )


def _path(pairs: list[CandidatePair]) -> str | None:
    told = {pair.path for pair in pairs}
    return next((path.value for path in (Path.RELAY, Path.REFLEXIVE, Path.HOST) if path in told), None)


def _worst(record: CallRecord, measure: str) -> float | None:
    means = [told.sums[measure] / told.counts[measure] for told in record.media.values() if told.counts[measure]]
    return round(max(means), 6) if means else None


class LineWriter:
    """Appends lines to a file, or to the standard output, on a thread of its own.

    Lines are whole: each write holds whole lines and goes to the end of the file, whoever else writes there. A file
    that was moved away is made anew. What cannot be written is lost; `on_failure` is told how many lines, and one log
    line says when that begins.
    """

    def __init__(self, target: str, on_failure: Callable[[int], None]) -> None:
        self._target = target
        self._on_failure = on_failure
        self._waiting: queue.Queue[bytes | None] = queue.Queue(MAX_WAITING)
        self._file: int | None = None
        self._is_torn = False
        self._is_failing = False
        self._thread = threading.Thread(target=self._run, name="call records", daemon=True)
        self._thread.start()

    def write(self, line: bytes) -> None:
        """Write a line soon. Never waits."""
        try:
            self._waiting.put_nowait(line)
        except queue.Full:
            self._failed(1, "the writer does not keep up")

    def flush(self) -> None:
        """Wait until what was given so far is written or lost."""
        self._waiting.join()

    def close(self) -> None:
        """Write what is waiting, for `CLOSE_S` at the most, and stop."""
        deadline_s = time.monotonic() + CLOSE_S
        with suppress(queue.Full):  # it stands still, and dies with the process
            self._waiting.put(None, timeout=CLOSE_S)
        self._thread.join(max(0.0, deadline_s - time.monotonic()))

    def _run(self) -> None:
        while True:
            taken = [self._waiting.get()]
            while not self._waiting.empty():
                taken.append(self._waiting.get())
            lines = [line for line in taken if line is not None]
            if lines:
                self._append(lines)
            for _ in taken:
                self._waiting.task_done()
            if len(lines) < len(taken):
                break
        self._release()

    def _append(self, lines: list[bytes]) -> None:
        text, done = (b"\n" if self._is_torn else b"") + b"".join(lines), 0
        try:
            file = self._opened()
            while done < len(text):
                done += os.write(file, text[done:])
                self._is_torn = text[done - 1 : done] != b"\n"
            self._is_failing = False
        except OSError as error:
            self._release()
            self._failed(text.count(b"\n", done), error.strerror or type(error).__name__)

    def _opened(self) -> int:
        if self._target == STDOUT:
            return sys.__stdout__.fileno() if sys.__stdout__ is not None else 1
        if self._file is not None and not self._is_in_place(self._file):
            self._release()
        if self._file is None:
            self._file = os.open(self._target, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        return self._file

    def _is_in_place(self, file: int) -> bool:
        """Whether the file is still the one of its name: it may have been moved away to be archived."""
        try:
            return os.path.samestat(os.fstat(file), os.stat(self._target))  # noqa: PTH116 - beside fstat
        except FileNotFoundError:
            return False

    def _release(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _failed(self, count: int, why: str) -> None:
        self._on_failure(count)
        if not self._is_failing:
            self._is_failing = True
            _log.error("call records are lost, the first of them now: %s", why)

"""One line for each ended call, whatever happens to the file."""

import json
import logging
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from observability import callrecords
from observability.calldetail import CallDetail
from observability.callrecords import LineWriter
from service.config import Settings
from service.domain.ids import CallId
from tests.observability.node import ObservedNode

FIELDS = set(CallDetail.__struct_fields__)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "calls.jsonl"


@pytest.fixture
def recording(file: Path) -> Iterator[ObservedNode]:
    node = ObservedNode(call_records=str(file))
    yield node
    node.close()


def written(node: ObservedNode, file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text(node, file).splitlines()]


def text(node: ObservedNode, file: Path) -> str:
    node.telemetry.flush_call_records()
    return file.read_text() if file.exists() else ""


async def test_the_record_of_a_complete_call(recording: ObservedNode, file: Path) -> None:
    node = recording
    alice, bob = node.join("alice"), node.join("bob")
    call_id = await node.connected_call(alice, bob, ("alice", "bob"))
    direct, relayed = ({"local": local, "remote": "srflx", "protocol": "udp"} for local in ("host", "relay"))
    alice.say("call:quality", callId=call_id, stats={"pair": direct, "roundTripTime": 0.1, "fractionLost": 0.02})
    alice.say("call:quality", callId=call_id, stats={"roundTripTime": 0.3, "fractionLost": 0})
    bob.say("call:quality", callId=call_id, stats={"pair": relayed, "roundTripTime": 0.1})
    await node.passes(60)
    bob.say("call:end", callId=call_id)
    assert not text(node, file)  # its last event is still being handled
    await node.passes(1)
    (record,) = written(node, file)
    times = {name: record.pop(name) for name in ("placed_at", "answered_at", "connected_at", "ended_at")}
    assert all(str(at).endswith("Z") for at in times.values())
    assert list(times.values()) == sorted(times.values())
    assert record == {
        "schema": 1,
        "call_id": call_id,
        "node": None,
        "media": "video",
        "lasted_s": 62.75,
        "talked_s": 60.0,
        "reason": "hangup",
        "fault": "none",
        "ended_in": "connected",
        "ended_by": "callee",
        "glare": False,
        "absences": 0,
        "renegotiations": 0,
        "path": "relay",
        "loss_ratio": 0.01,
        "round_trip_s": 0.2,
    }


async def test_the_records_of_other_endings(recording: ObservedNode, file: Path) -> None:
    node = recording
    node.telemetry.node = "eu-1"
    alice, bob = node.join("alice"), node.join("bob")
    node.call(alice, "bob", media="audio")
    await node.passes(30)
    alice.say("call:end", callId=node.call(alice, "bob"))
    bob.say("call:reject", callId=node.call(alice, "bob"))
    operated = node.call(alice, "bob")
    assert await node.service.control.end(CallId(operated))
    node.call(alice, "bob")
    bob.gone()
    await node.passes(1)
    records = written(node, file)
    assert [(each["reason"], each["fault"], each["ended_by"], each["media"]) for each in records] == [
        ("no_answer", "user", "server", "audio"),
        ("cancelled", "user", "caller", "video"),
        ("rejected", "user", "callee", "video"),
        ("cancelled", "none", "operator", "video"),
        ("connection_lost", "network", "callee", "video"),
    ]
    assert {each["node"] for each in records} == {"eu-1"}
    assert {each["talked_s"] for each in records} == {each["path"] for each in records} == {None}
    assert all(set(each) == FIELDS for each in records)
    assert "alice" not in text(node, file)


async def test_a_call_that_has_not_ended_here_has_no_record(recording: ObservedNode, file: Path) -> None:
    node = recording
    alice, bob = node.join("alice"), node.join("bob")
    await node.connected_call(alice, bob, ("alice", "bob"))
    node.telemetry.ledger.close()  # as at a stop, when calls go on on other nodes
    assert not text(node, file)


async def test_a_line_that_cannot_be_written_is_counted_and_calls_go_on(tmp_path: Path) -> None:
    node = ObservedNode(call_records=str(tmp_path / "not there" / "calls.jsonl"))
    alice, bob = node.join("alice"), node.join("bob")
    for _ in range(3):
        bob.say("call:reject", callId=node.call(alice, "bob"))
        await node.passes(1)
        node.telemetry.flush_call_records()
    assert node.scrape()['observer_failures_total{observer="call_records"}'] == 3
    lines = [line for line in node.lines() if line.get("logger") == callrecords.__name__]
    assert [line["message"] for line in lines] == [
        "call records are lost, the first of them now: No such file or directory"
    ]
    (tmp_path / "not there").mkdir()
    bob.say("call:reject", callId=node.call(alice, "bob"))
    await node.passes(1)
    assert len(written(node, tmp_path / "not there" / "calls.jsonl")) == 1
    node.close()


# --- the writer --------------------------------------------------------------------------------------------


class Lost:
    """Counts what is lost."""

    def __init__(self) -> None:
        self.lines = 0

    def __call__(self, lines: int) -> None:
        self.lines += lines


MakeWriter = Callable[[str], LineWriter]


@pytest.fixture
def lost() -> Lost:
    return Lost()


@pytest.fixture
def writer(file: Path, lost: Lost) -> Iterator[LineWriter]:
    writer = LineWriter(str(file), lost)
    yield writer
    writer.close()


def test_lines_are_added_to_what_is_there(writer: LineWriter, file: Path) -> None:
    file.write_text("older\n")
    for text in (b"one\n", b"two\n"):
        writer.write(text)
        writer.flush()
    assert file.read_text() == "older\none\ntwo\n"


def test_a_file_that_was_moved_away_is_made_anew(writer: LineWriter, file: Path) -> None:
    writer.write(b"one\n")
    writer.flush()
    archived = file.rename(file.with_suffix(".1"))
    writer.write(b"two\n")
    writer.flush()
    file.unlink()
    file.write_text("")  # somebody else's new one
    writer.write(b"three\n")
    writer.flush()
    assert (archived.read_text(), file.read_text()) == ("one\n", "three\n")
    assert archived.stat().st_mode & 0o007 == 0  # not for everybody


def test_a_full_disk_tears_one_line_and_no_other(
    writer: LineWriter, file: Path, lost: Lost, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half(where: int, text: bytes) -> int:
        if len(text) < 5:
            raise OSError(28, "No space left on device")
        return write(where, text[:-3])

    write = os.write
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", half)
        writer.write(b"torn line\n")
        writer.flush()
    writer.write(b"whole\n")
    writer.flush()
    assert file.read_text() == "torn li\nwhole\n"
    assert lost.lines == 1


def test_a_disk_that_stands_still_holds_up_nobody(
    lost: Lost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fifo = tmp_path / "nobody reads"
    os.mkfifo(fifo)
    monkeypatch.setattr(callrecords, "MAX_WAITING", 2)
    monkeypatch.setattr(callrecords, "CLOSE_S", 0.01)
    writer = LineWriter(str(fifo), lost)
    with caplog.at_level(logging.ERROR):
        for _ in range(10):
            writer.write(b"line\n")
        writer.close()
        assert 7 <= lost.lines <= 8  # two wait, and one may be in the thread's hands
        assert [record.getMessage() for record in caplog.records] == [
            "call records are lost, the first of them now: the writer does not keep up"
        ]
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)  # the thread goes on
    read = threading.Thread(target=writer.flush)
    read.start()
    read.join(10)
    assert not read.is_alive()
    os.close(reader)
    writer.close()


# --- what is documented ------------------------------------------------------------------------------------


def test_every_field_says_what_it_is() -> None:
    schema = msgspec.json.schema(CallDetail)["$defs"]["CallDetail"]
    assert set(schema["properties"]) == FIELDS
    assert all(field.get("description") for field in schema["properties"].values())


@pytest.mark.parametrize("value", ["calls.jsonl", "STDOUT", " "])
def test_a_target_that_is_none_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="must be off, stdout or a path from the root"):
        Settings(_env_file=None, call_records=value)  # type: ignore[call-arg] # pydantic-settings takes it

"""`clients/typescript/events.d.ts`: compiled by the real compiler, and true of a real server."""

import json
import subprocess
from pathlib import Path
from typing import Annotated, Any

import msgspec
import pytest

from service.errors import ALL_ERRORS
from service.export.catalogue import fields, type_name
from service.export.typescript import typescript_events, typescript_type
from service.protocol.client import CLIENT_MESSAGES
from service.protocol.server import SERVER_MESSAGES
from tests.export.schemas import MESSAGES, problems
from tests.support.needs import ROOT, need_node_module, need_program
from tests.support.server import Server

TEXT = typescript_events()
TIMEOUT_S = 120


def compile_typescript(*arguments: str) -> str:
    """What the compiler complains of."""
    compiler = need_node_module("typescript") / "bin" / "tsc"
    need_node_module("socket.io-client")
    need_node_module("@types/node")
    command = [need_program("node", "nodejs"), str(compiler), *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert (done.returncode == 0) is (done.stdout == ""), done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def compiled_example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example client as JavaScript."""
    folder = tmp_path_factory.mktemp("typescript")
    assert compile_typescript("-p", "examples/typescript", "--noEmit", "false", "--outDir", str(folder)) == ""
    return folder


def test_every_event_is_in_its_map() -> None:
    client, server = TEXT.split("export interface ServerToClientEvents")
    for asked in CLIENT_MESSAGES:
        assert f'  "{asked.event}": (payload: {type_name(asked)}, ack: (answer: Ack' in client
    for told in SERVER_MESSAGES:
        assert f'  "{told.event}": (payload: {type_name(told)}) => void;' in server


@pytest.mark.parametrize("kind", [*CLIENT_MESSAGES, *SERVER_MESSAGES])
def test_every_field_is_in_its_interface(kind: type[msgspec.Struct]) -> None:
    body = TEXT.split(f"export interface {type_name(kind)} {{", 1)[1].split("\n}", 1)[0]
    for field in fields(kind):
        assert f"\n  {field.name}{'' if field.required else '?'}: " in body


def test_every_error_code_is_in_the_union() -> None:
    union = TEXT.split("export type ErrorCode =", 1)[1].split(";", 1)[0]
    assert set(union.replace("|", "").split()) == {f'"{error.code}"' for error in ALL_ERRORS}


class Sample(msgspec.Struct):
    """One field of every kind that a message may have."""

    names: list[str]
    either: str | int
    counts: dict[str, Any]
    ratio: Annotated[float, msgspec.Meta(ge=0)]
    anything: Any


def test_types_are_said_in_typescript() -> None:
    assert {field.name: typescript_type(field.type) for field in fields(Sample)} == {
        "names": "Array<string>",
        "either": "string | number",
        "counts": "Record<string, unknown>",
        "ratio": "number",
        "anything": "unknown",
    }


@pytest.mark.node
def test_the_types_compile_without_the_dom() -> None:
    options = ["--strict", "--noEmit", "--lib", "ES2022", "--types", "node", "--module", "nodenext"]
    assert compile_typescript(*options, "clients/typescript/events.d.ts") == ""


@pytest.mark.node
def test_wrong_names_and_payloads_do_not_compile() -> None:
    assert compile_typescript("-p", "tests/export/typescript") == ""


@pytest.mark.node
def test_an_expected_error_that_does_not_come_is_noticed(tmp_path: Path) -> None:
    right = tmp_path / "right.ts"
    right.write_text("// @ts-expect-error\nexport const one: number = 1;\n", encoding="utf-8")
    assert "TS2578" in compile_typescript("--strict", "--noEmit", "--lib", "ES2022", "--types", "node", str(right))


@pytest.mark.node
def test_a_call_between_two_typed_clients(compiled_example: Path, server: Server) -> None:
    need_node_module("socket.io-client")
    told = _round_trip(compiled_example, server.url)
    call_id = told["initiated"]["callId"]
    assert told["accepted"] == {"ok": True, "callId": call_id, "by": "ts-bob"}
    assert told["offer"]["offer"] == {"type": "offer", "sdp": "v=0\r\n"}
    assert told["answer"] == {"answer": {"type": "answer", "sdp": "v=0\r\n"}, "from": "ts-bob"}
    assert told["candidate"] == {"candidate": None, "from": "ts-alice"}
    assert told["ended"] == {"callId": call_id, "by": "ts-alice", "code": "hangup"}
    assert told["refused"]["error"]["code"] == "call_not_found"


@pytest.mark.node
def test_what_a_real_server_says_is_valid_by_the_published_schemas(compiled_example: Path, server: Server) -> None:
    names = {
        "initiated": "CallInitiateRequestDone",
        "incoming": "CallIncoming",
        "accepted": "CallAcceptRequestDone",
        "offer": "CallOffer",
        "answer": "CallAnswer",
        "candidate": "Candidate",
        "ended": "CallEnded",
        "refused": "EventFailed",
    }
    told = _round_trip(compiled_example, server.url)
    assert set(told) == set(names)
    assert {key: problems(MESSAGES[name]["payload"], told[key]) for key, name in names.items()} == {
        key: [] for key in names
    }


def _round_trip(folder: Path, url: str) -> dict[str, Any]:
    done = subprocess.run(
        [need_program("node", "nodejs"), str(folder / "roundtrip.js"), url, "ts-alice", "ts-bob"],
        env={"NODE_PATH": str(ROOT / "node_modules")},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told

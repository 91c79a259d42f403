"""The transcripts of docs/admin.md: every command is run against a real server, and answers as the page shows.

Numbers, ids and times differ from one run to the next, and so does the width of a ladder's notes; all else is compared.
"""

import asyncio
import json
import os
import re
import subprocess
from pathlib import Path

from tests.docs.support import Document
from tests.interop.py_client import PyClient, py_client
from tests.support.admin import DOCUMENT, TOKEN, governed_server, operation_of
from tests.support.needs import ROOT, need_program

PAGE = Document(ROOT / "docs" / "admin.md")
SHOWN_URL = "http://127.0.0.1:9465"
_CALL = re.compile(r"/admin/calls/(?!0{32})[0-9a-f]{32}")
_CHANGING = re.compile(r"[0-9a-f]{32}|\d[\d.:TZ-]*")


def transcripts() -> list[tuple[str, str, str]]:
    """Each command, with the kind and text of what it answers."""
    pairs = zip(PAGE.fences, PAGE.fences[1:], strict=False)
    return [(first.text, then.info, then.text) for first, then in pairs if first.text.startswith("curl")]


def compared(kind: str, text: str) -> object:
    squeezed = " ".join(_CHANGING.sub("0", text).replace(", waited 0 ms", "").split())
    return json.loads(squeezed) if kind == "json" else squeezed


def run(command: str) -> str:
    environment = {**os.environ, "ADMIN_TOKEN": TOKEN}
    done = subprocess.run(
        ["bash", "-c", command], env=environment, capture_output=True, text=True, timeout=30, check=True
    )
    return done.stdout


async def a_call(alice: PyClient, bob: PyClient) -> str:
    """The call of the page, with media and not ended."""
    call_id = str((await alice.ask("call:initiate", {"to": bob.name, "callType": "video"}))["callId"])
    await bob.ask("call:accept", {"callId": call_id, "from": alice.name})
    await alice.ask("call:offer", {"offer": {"sdp": "o"}, "to": bob.name})
    for number in range(6):
        await alice.ask("ice:candidate", {"candidate": {"n": number}, "to": bob.name})
    await bob.ask("call:answer", {"answer": {"sdp": "a"}, "to": alice.name})
    for number in range(7):
        await bob.ask("ice:candidate", {"candidate": {"n": number}, "to": alice.name})
    await alice.ask("call:connected", {"callId": call_id})
    pair = {"local": "srflx", "remote": "srflx", "protocol": "udp"}
    stats = {"ice": "connected", "roundTripTime": 0.08, "fractionLost": 0.02, "pair": pair}
    await alice.ask("call:quality", {"callId": call_id, "stats": stats})
    return call_id


async def test_the_commands_of_the_page_answer_as_it_shows(tmp_path: Path) -> None:
    need_program("curl", "curl")
    with governed_server(tmp_path) as (server, admin):
        async with py_client(server.url, "websocket", "a") as alice, py_client(server.url, "websocket", "b") as bob:
            call_id = await a_call(alice, bob)
            for command, kind, shown in transcripts():
                if "format=text" in command:
                    await bob.ask("call:end", {"callId": call_id})
                    ended, call_id = call_id, ""
                if command.startswith("curl -s -X DELETE") and "/calls/" in command:
                    call_id = await a_call(alice, bob)
                ready = _CALL.sub(f"/admin/calls/{call_id or ended}", command.replace(SHOWN_URL, admin.url))
                answered = await asyncio.to_thread(run, ready.replace("/alice/", f"/{alice.name}/"))
                assert compared(kind, answered) == compared(kind, shown), command


def test_every_operation_is_shown() -> None:
    shown = set()
    for command, _kind, _text in transcripts():
        path = re.search(rf"{re.escape(SHOWN_URL)}(\S+?)['\"]?\s*$", command, re.MULTILINE)
        assert path is not None
        method = re.search(r"-X (\w+)", command)
        operation = operation_of(method[1] if method else "GET", path[1])
        shown.add(operation["operationId"] if operation else None)
    told = {operation["operationId"] for operations in DOCUMENT["paths"].values() for operation in operations.values()}
    assert shown - {None} == told

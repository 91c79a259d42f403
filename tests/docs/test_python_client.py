"""The Python example is what the documentation shows, and makes whole calls against a real server."""

import asyncio
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

import pytest

from tests.docs.support import Document, hand_written
from tests.support.needs import ROOT
from tests.support.server import Server

CLIENT = ROOT / "examples" / "python" / "client.py"
DEADLINE_S = 30
_QUOTED = re.compile(r"<!-- from (\S+) -->\n```\w+\n(.*?)^```", re.DOTALL | re.MULTILINE)


class Running(NamedTuple):
    process: asyncio.subprocess.Process
    said: list[str]

    async def says(self, line: str) -> None:
        """Wait for this line; what came before it is kept in `said`."""
        assert self.process.stdout is not None
        async with asyncio.timeout(DEADLINE_S):
            while line not in self.said:
                came = (await self.process.stdout.readline()).decode()
                assert came, f"ended without {line!r}; said {self.said}"
                self.said.append(came.strip())

    async def ends(self) -> int:
        async with asyncio.timeout(DEADLINE_S):
            return await self.process.wait()


@asynccontextmanager
async def client(server: Server, *arguments: str) -> AsyncIterator[Running]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-u", str(CLIENT), "--url", server.url, *arguments, stdout=asyncio.subprocess.PIPE
    )
    try:
        yield Running(process, [])
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@pytest.mark.parametrize("media", [(), ("--media",)], ids=["signalling", "media"])
async def test_a_whole_call(server: Server, media: tuple[str, ...]) -> None:
    caller, callee = f"example-caller-{len(media)}", f"example-callee-{len(media)}"
    async with client(server, "--user", callee, "--once", *media) as bob:
        await bob.says(f"joined as {callee}")
        async with client(server, "--user", caller, "--call", callee, "--talk", "0.2", *media) as alice:
            for one, other in ((alice, callee), (bob, caller)):
                await one.says(f"in a call with {other}")
                if media:
                    await one.says("media flows")
                await one.says("call over: hangup")
                assert await one.ends() == 0


async def test_a_rejected_call(server: Server) -> None:
    async with client(server, "--user", "example-no", "--once", "--reject") as bob:
        await bob.says("joined as example-no")
        async with client(server, "--user", "example-asks", "--call", "example-no") as alice:
            await alice.says("call over: rejected")
            assert await alice.ends() == 1


async def test_nobody_there(server: Server) -> None:
    async with client(server, "--user", "example-alone", "--call", "example-nobody") as alice:
        await alice.says("cannot call example-nobody: User not found (user_not_found)")
        assert await alice.ends() == 1


async def test_a_replaced_client_does_not_come_back(server: Server) -> None:
    async with client(server, "--user", "example-twice") as old:
        await old.says("joined as example-twice")
        async with client(server, "--user", "example-caller", "--call", "example-twice") as peer:
            await old.says("in a call with example-caller")
            async with client(server, "--user", "example-twice") as new:
                await old.says("call over: Continued on another connection")
                assert await old.ends() == 0
                await new.says("joined as example-twice")
                await peer.says("call over: hangup")  # the new one has no media for it and ends it


def quoting() -> list[tuple[Document, str, str]]:
    return [(document, path, text) for document in hand_written() for path, text in _QUOTED.findall(document.text)]


@pytest.mark.parametrize(("document", "path", "text"), [pytest.param(*each, id=each[0].name) for each in quoting()])
def test_quoted_code_is_in_its_file(document: Document, path: str, text: str) -> None:
    assert text in (ROOT / path).read_text(encoding="utf-8"), f"{document.name} quotes what {path} does not say"


def test_every_program_in_the_documents_is_quoted() -> None:
    quoted = {text for _, _, text in quoting()}
    for document in hand_written():
        for fence in document.fences:
            if fence.info in ("python", "typescript", "ts"):
                assert fence.text in quoted, f"{document.name} shows code that no file has: {fence.text[:60]!r}"

"""Every transcript in the documentation is what a real server does."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import NamedTuple

import aiohttp
import pytest

from tests.docs.support import hand_written
from tests.docs.transcript import Player
from tests.support.server import Server, running_server

MARK = "text transcript"
STOP = "the server stops"


class Transcript(NamedTuple):
    name: str
    settings: tuple[str, ...]
    text: str


def transcripts() -> list[Transcript]:
    found = []
    for document in hand_written():
        blocks = [fence for fence in document.fences if fence.info.startswith(MARK)]
        for number, fence in enumerate(blocks, 1):
            settings = tuple(fence.info.removeprefix(MARK).split())
            found.append(Transcript(f"{document.name}-{number}", settings, fence.text))
    return found


StartServer = Callable[[Transcript], Server]


@pytest.fixture(scope="module")
def server_for(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartServer]:
    """Servers shared by the transcripts that ask for the same settings; one that is stopped is nobody else's."""
    with ExitStack() as running:
        shared: dict[tuple[str, ...], Server] = {}

        def start(transcript: Transcript) -> Server:
            if STOP not in transcript.text and transcript.settings in shared:
                return shared[transcript.settings]
            settings = dict(setting.split("=", 1) for setting in transcript.settings)
            server = running.enter_context(running_server(tmp_path_factory.mktemp("server"), **settings))
            if STOP not in transcript.text:
                shared[transcript.settings] = server
            return server

        yield start


@pytest.mark.parametrize("transcript", [pytest.param(each, id=each.name) for each in transcripts()])
async def test_transcript_is_what_the_server_does(transcript: Transcript, server_for: StartServer) -> None:
    server = server_for(transcript)
    async with aiohttp.ClientSession() as http:
        player = Player(server, http)
        try:
            await player.play(transcript.text)
        finally:
            await player.close()
        if STOP in transcript.text:
            assert server.process.wait(30) == 0
        else:
            await player.forgotten()


def test_the_workflow_is_told_in_transcripts() -> None:
    names = [transcript.name for transcript in transcripts()]
    assert sum(name.startswith("docs/workflow.md") for name in names) >= 20


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ('alice -> user:status {"userId": "x"}', "messages that the transcript does not show"),
        ('alice -> user:status {"userId": "x"}\nalice <- user:status {"userId": "x"}', "but came"),
        ("alice sings", "not a line of a transcript"),
    ],
)
async def test_a_wrong_transcript_fails(server: Server, wrong: str, complaint: str) -> None:
    async with aiohttp.ClientSession() as http:
        player = Player(server, http)
        with pytest.raises(AssertionError, match=complaint):
            await player.play(f"alice connects\n{wrong}")
        await player.close()

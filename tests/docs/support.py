"""What the tests of the documentation read: the Markdown files, their fences, links and headings."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.support.needs import ROOT

_FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```\s*$", re.DOTALL | re.MULTILINE)
_HEADING = re.compile(r"^#{1,6} +(.+?) *#*$", re.MULTILINE)
_CODE_SPAN = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_NOT_ANCHOR = re.compile(r"[^\w\- ]")
GENERATED = frozenset(
    {f"docs/{name}.md" for name in ("metrics", "call-records", "protocol", "state-machine", "configuration")}
)


class Fence(NamedTuple):
    """A fenced block: what stands behind its opening, and its text."""

    info: str
    text: str


class Document:
    """A Markdown file of the project."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.relative_to(ROOT).as_posix()
        self.text = path.read_text(encoding="utf-8")
        self.prose = _FENCE.sub("", self.text)

    @property
    def fences(self) -> list[Fence]:
        return [Fence(found[1].strip(), found[2]) for found in _FENCE.finditer(self.text)]

    @property
    def code_spans(self) -> list[str]:
        return [found[1] for found in _CODE_SPAN.finditer(self.prose)]

    @property
    def links(self) -> list[str]:
        return [found[1] for found in _LINK.finditer(_CODE_SPAN.sub("", self.prose))]

    @property
    def anchors(self) -> set[str]:
        """The anchors that the repository host makes of the headings."""
        seen: dict[str, int] = {}
        anchors = set()
        for heading in _HEADING.findall(self.prose):
            words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
            anchor = _NOT_ANCHOR.sub("", words).replace(" ", "-")
            count = seen.get(anchor, 0)
            seen[anchor] = count + 1
            anchors.add(f"{anchor}-{count}" if count else anchor)
        return anchors


def documents() -> Iterator[Document]:
    """All Markdown files of the project."""
    for path in sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")]):
        if "node_modules" not in path.parts:
            yield Document(path)


def hand_written() -> Iterator[Document]:
    """The files that no program makes."""
    return (document for document in documents() if document.name not in GENERATED)

"""What a reader's program makes of Markdown: tables as cells, and links that lead somewhere."""

import re


def sections(text: str, level: int) -> dict[str, str]:
    """The text below each heading of this level, up to the next heading of it or above."""
    parts = re.split(rf"^(#{{1,{level}}}) (.+)$", text, flags=re.MULTILINE)[1:]
    found = zip(parts[::3], parts[1::3], parts[2::3], strict=True)
    return {title: body for marks, title, body in found if len(marks) == level}


def rows(text: str) -> list[list[str]]:
    """The cells of all table rows."""
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def dead_links(text: str) -> set[str]:
    """The links to places in the same document that lead nowhere, by GitHub's rule for anchors."""
    outside_code = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    titles = re.findall(r"^#+ (.+)$", outside_code, flags=re.MULTILINE)
    anchors = {re.sub(r"[^a-z0-9_\- ]", "", title.lower()).replace(" ", "-") for title in titles}
    return set(re.findall(r"\]\(#([^)]+)\)", text)) - anchors


def blocks(text: str, language: str) -> list[str]:
    """The blocks of code in this language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)

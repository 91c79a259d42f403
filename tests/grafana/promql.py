"""PromQL taken apart as far as a check of names needs it: which metrics, label matchers and grouping labels it has."""

import re
from collections.abc import Iterator
from typing import NamedTuple

_TOKEN = re.compile(
    r"""(?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
      | (?P<variable>\$\{?\w+\}?)
      | (?P<number>(?:\d+(?:ms|[smhdwy]))+|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
      | (?P<word>[A-Za-z_:][\w:]*)
      | (?P<operator>=~|!~|!=|==|<=|>=|[-+*/%^<>=(){}\[\],:@])
      | (?P<comment>\#[^\n]*)
      | (?P<space>\s+)""",
    re.VERBOSE,
)
_GROUPING = frozenset({"by", "without", "on", "ignoring", "group_left", "group_right"})
_KEYWORDS = frozenset({"and", "or", "unless", "bool", "offset", "atan2", "inf", "nan"}) | _GROUPING
_MATCH = frozenset({"=", "!=", "=~", "!~"})


class Matcher(NamedTuple):
    """`label="value"` or with another operator; the value is without its quotes."""

    label: str
    operator: str
    value: str

    def alternatives(self) -> tuple[str, ...]:
        """The values that it names: one, or those of a regular expression that is a plain choice."""
        return tuple(self.value.split("|")) if self.operator in ("=~", "!~") else (self.value,)


class Selector(NamedTuple):
    """A metric as it is asked for."""

    name: str
    matchers: tuple[Matcher, ...]


class Query(NamedTuple):
    """What a check needs to know of a query."""

    selectors: tuple[Selector, ...]
    grouping: frozenset[str]
    functions: frozenset[str]


class PromqlError(ValueError):
    """The text is not PromQL."""


class _Tokens:
    def __init__(self, text: str) -> None:
        self._tokens = list(_tokens(text))
        self._at = 0

    def __bool__(self) -> bool:
        return self._at < len(self._tokens)

    def peek(self) -> str:
        return self._tokens[self._at][1] if self else ""

    def next(self) -> tuple[str, str]:
        if not self:
            raise PromqlError("it ends too early")
        self._at += 1
        return self._tokens[self._at - 1]

    def expect(self, *wanted: str) -> str:
        _, text = self.next()
        if text not in wanted:
            raise PromqlError(f"{text!r} stands where {' or '.join(wanted)} should")
        return text


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise PromqlError(f"{text[at : at + 20]!r} cannot be read")
        at = match.end()
        if match.lastgroup not in ("space", "comment"):
            yield str(match.lastgroup), match.group()


def parse(text: str) -> Query:
    """Take a query apart.

    Raises:
        PromqlError: it cannot be read.
    """
    tokens = _Tokens(text)
    selectors: list[Selector] = []
    grouping: set[str] = set()
    functions: set[str] = set()
    while tokens:
        kind, word = tokens.next()
        if word == "{":
            selectors.append(Selector("", tuple(_matchers(tokens))))
        if kind != "word":
            continue
        if word.lower() in _GROUPING:
            grouping |= _labels(tokens)
        elif (tokens.peek() == "(" and word.lower() not in _KEYWORDS) or tokens.peek() in ("by", "without"):
            functions.add(word)
        elif word.lower() not in _KEYWORDS:
            selectors.append(Selector(word, _selected(tokens)))
    return Query(tuple(selectors), frozenset(grouping), frozenset(functions))


def _labels(tokens: _Tokens) -> set[str]:
    found: set[str] = set()
    if tokens.peek() != "(":
        return found  # group_left without labels
    tokens.expect("(")
    while (word := tokens.next()[1]) != ")":
        if word != ",":
            found.add(word)
    return found


def _selected(tokens: _Tokens) -> tuple[Matcher, ...]:
    if tokens.peek() != "{":
        return ()
    tokens.expect("{")
    return tuple(_matchers(tokens))


def _matchers(tokens: _Tokens) -> Iterator[Matcher]:
    while (label := tokens.next()[1]) != "}":
        operator = tokens.expect(*_MATCH)
        kind, value = tokens.next()
        if kind != "text":
            raise PromqlError(f"{value!r} should be a quoted value")
        yield Matcher(label, operator, value[1:-1])
        if tokens.peek() == ",":
            tokens.next()

"""The base of the domain's closed sets of words."""

import enum


class Word(enum.StrEnum):
    """A member is its word, and hashes like it: `enum` hashes in Python, which costs more than a look-up does."""

    __hash__ = str.__hash__

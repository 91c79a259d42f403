"""The Lua scripts beside this module, each with the prelude before it."""

import hashlib
from pathlib import Path
from typing import NamedTuple

_FOLDER = Path(__file__).parent / "lua"
_PRELUDE = (_FOLDER / "prelude.lua").read_text(encoding="utf-8")


class Script(NamedTuple):
    """A script, and the hash by which Redis knows it once it is loaded."""

    name: str
    source: str
    sha: str


def _load(name: str) -> Script:
    source = _PRELUDE + (_FOLDER / f"{name}.lua").read_text(encoding="utf-8")
    return Script(name, source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest())


REGISTER = _load("register")
RENEW = _load("renew")
LEAVE = _load("leave")
REAP = _load("reap")
NODES = _load("nodes")
SEAT = _load("seat")
VACATE = _load("vacate")
PRESENCE = _load("presence")
LOAD = _load("load")
COMMIT = _load("commit")
RESTORE_SEATS = _load("restore_seats")
RESTORE_CALL = _load("restore_call")
SEND = _load("send")
DEADLINES = _load("deadlines")
CLAIM = _load("claim")
SETTLE = _load("settle")
STATUSES = _load("statuses")
HOLD = _load("hold")
COLLECT = _load("collect")

SCRIPTS = (
    REGISTER,
    RENEW,
    LEAVE,
    REAP,
    NODES,
    SEAT,
    VACATE,
    PRESENCE,
    LOAD,
    COMMIT,
    RESTORE_SEATS,
    RESTORE_CALL,
    SEND,
    DEADLINES,
    CLAIM,
    SETTLE,
    STATUSES,
    HOLD,
    COLLECT,
)

"""The state of one Engine.IO session: packets in, what to do and the next deadline out. No I/O, no clock."""

import enum
import math
from typing import NamedTuple

import msgspec

from service.transport.engine.packets import OPEN, ProtocolError


class Heartbeat(NamedTuple):
    """When clients are pinged, and how long they have to answer. Section "Heartbeat"."""

    interval_s: float
    timeout_s: float


class Received(enum.Enum):
    """What a packet of a client asks for."""

    MESSAGE = enum.auto()
    PONG = enum.auto()
    CLOSE = enum.auto()
    NOTHING = enum.auto()


class Due(enum.Enum):
    """What a deadline asks for."""

    PING = enum.auto()
    TIMED_OUT = enum.auto()
    NOTHING = enum.auto()


class Session:
    """One client's session: its heartbeat, and which packets it may send."""

    __slots__ = ("_heartbeat", "_pinged_at_s", "deadline_s")

    def __init__(self, heartbeat: Heartbeat, now_s: float) -> None:
        self._heartbeat = heartbeat
        self._pinged_at_s = math.nan
        self.deadline_s = now_s + heartbeat.interval_s
        """When `wake` has to be called, at the latest."""

    def receive(self, packet: str) -> Received:
        """Judge a text packet of the open session.

        Raises:
            ProtocolError: a packet of this kind is not a client's to send, or not now.
        """
        if packet.startswith("4"):
            return Received.MESSAGE
        if packet == "3":
            return Received.PONG
        if packet == "1":
            return Received.CLOSE
        if packet == "6":
            return Received.NOTHING
        raise ProtocolError("a client sends pong, message, close or noop")

    def answered(self, now_s: float) -> float:
        """Take note of a pong. Returns the seconds that it took, not a number if nobody had asked."""
        took_s = now_s - self._pinged_at_s
        self._pinged_at_s = math.nan
        self.deadline_s = now_s + self._heartbeat.interval_s
        return took_s

    def wake(self, now_s: float, early_s: float = 0.0) -> Due:
        """What is due now. A ping may go out `early_s` too early, and counts as sent; a client is never cut short."""
        if not math.isnan(self._pinged_at_s):
            return Due.TIMED_OUT if now_s >= self.deadline_s else Due.NOTHING
        if now_s < self.deadline_s - early_s:
            return Due.NOTHING
        self._pinged_at_s = now_s
        self.deadline_s = now_s + self._heartbeat.timeout_s
        return Due.PING


class Probe:
    """A websocket that is to take the place of polling. Section "Upgrade"."""

    __slots__ = ("_probed",)

    def __init__(self) -> None:
        self._probed = False

    def receive(self, packet: str) -> bool:
        """Judge a text packet: False for the probe, which is to be answered; True for the upgrade.

        Raises:
            ProtocolError: neither, or out of turn.
        """
        if packet == "2probe" and not self._probed:
            self._probed = True
            return False
        if packet == "5" and self._probed:
            return True
        raise ProtocolError("an upgrade is a probe and an upgrade packet")


def open_packet(sid: str, heartbeat: Heartbeat, max_payload_bytes: int, *, can_upgrade: bool) -> bytes:
    """The packet that opens a session. Section "Handshake": times are in milliseconds."""
    return OPEN + msgspec.json.encode(
        {
            "sid": sid,
            "upgrades": ["websocket"] if can_upgrade else [],
            "pingInterval": round(heartbeat.interval_s * 1000),
            "pingTimeout": round(heartbeat.timeout_s * 1000),
            "maxPayload": max_payload_bytes,
        }
    )

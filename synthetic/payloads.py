"""Session descriptions, candidates and reports that look like a browser's. Addresses are from documentation ranges."""

import random
from typing import Any, NamedTuple

MIN_DESCRIPTION_CHARS = 2_000
MAX_DESCRIPTION_CHARS = 5_000

_CODECS = {
    "audio": (("111", "opus/48000/2"), ("63", "red/48000/2"), ("9", "G722/8000"), ("0", "PCMU/8000")),
    "video": (
        ("96", "VP8/90000"),
        ("97", "rtx/90000"),
        ("102", "H264/90000"),
        ("45", "AV1/90000"),
        ("98", "VP9/90000"),
    ),
}
_KINDS = ("host", "srflx", "relay")


def description(chance: random.Random, kind: str, media: str) -> dict[str, str]:
    """An offer or an answer of 2,000 to 5,000 characters."""
    size = chance.randint(MIN_DESCRIPTION_CHARS, MAX_DESCRIPTION_CHARS)
    lines = [
        "v=0",
        f"o=- {chance.getrandbits(62)} 2 IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        "a=group:BUNDLE " + ("0" if media == "audio" else "0 1"),
        "a=extmap-allow-mixed",
    ]
    fingerprint = ":".join(f"{chance.getrandbits(8):02X}" for _ in range(32))
    for mid, section in enumerate(["audio"] if media == "audio" else ["audio", "video"]):
        lines += _section(chance, section, mid, fingerprint)
    text = "\r\n".join(lines) + "\r\n"
    while len(text) < size:
        text += _source(chance)
    return {"type": kind, "sdp": text[:MAX_DESCRIPTION_CHARS]}


def candidate(chance: random.Random, number: int) -> dict[str, Any]:
    """One candidate, as a browser's `RTCIceCandidate` becomes JSON."""
    kind = _KINDS[number % len(_KINDS)]
    host = f"192.0.2.{chance.randint(1, 254)}"
    address = host if kind == "host" else f"203.0.113.{chance.randint(1, 254)}"
    related = "" if kind == "host" else f" raddr {host} rport {chance.randint(49152, 65535)}"
    return {
        "candidate": (
            f"candidate:{chance.getrandbits(31)} 1 udp {chance.getrandbits(31)} {address} "
            f"{chance.randint(49152, 65535)} typ {kind}{related} generation 0 ufrag {_token(chance, 4)}"
        ),
        "sdpMid": "0",
        "sdpMLineIndex": 0,
        "usernameFragment": _token(chance, 4),
    }


class Route(NamedTuple):
    """The way of a call's media: the kind of each party's candidate, what carries each side, and the usual delay."""

    caller: str
    callee: str
    caller_protocol: str
    callee_protocol: str
    round_trip_s: float


_ROUTES = (
    (Route("host", "host", "udp", "udp", 0.004), 15),
    (Route("srflx", "prflx", "udp", "udp", 0.045), 45),
    (Route("host", "srflx", "udp", "udp", 0.035), 20),
    (Route("relay", "srflx", "udp", "udp", 0.09), 12),
    (Route("relay", "relay", "tcp", "udp", 0.14), 5),
    (Route("relay", "host", "tls", "udp", 0.16), 3),
)
"""Ways of media and the share of each: a fifth of calls is relayed."""
_STAGES = (("checking", 80), ("connected", 12), ("gathering", 8))


def route(chance: random.Random) -> Route:
    """The way that the media of a call takes."""
    return chance.choices([way for way, _ in _ROUTES], weights=[share for _, share in _ROUTES])[0]


def pair(way: Route, *, caller: bool) -> dict[str, str]:
    """The pair of candidates as one party sees it."""
    if caller:
        return {"local": way.caller, "remote": way.callee, "protocol": way.caller_protocol}
    return {"local": way.callee, "remote": way.caller, "protocol": way.callee_protocol}


def measures(chance: random.Random, way: Route, media: str) -> dict[str, float]:
    """What getStats may say of some seconds of media: mostly good, now and then a bad stretch."""
    is_bad = chance.random() < 0.05  # noqa: PLR2004 - one stretch in twenty
    usual_bps = 32e3 if media == "audio" else 1.4e6
    return {
        "roundTripTime": round(way.round_trip_s * chance.lognormvariate(0, 0.3) * (4 if is_bad else 1), 4),
        "jitter": round(0.006 * chance.lognormvariate(0, 0.5) * (5 if is_bad else 1), 4),
        "fractionLost": round(min(1.0, chance.expovariate(1 / (0.08 if is_bad else 0.003))), 4),
        "inboundBitrate": round(usual_bps * chance.uniform(0.7, 1.1) * (0.3 if is_bad else 1)),
        "outboundBitrate": round(usual_bps * chance.uniform(0.7, 1.1)),
    }


def failure(chance: random.Random) -> dict[str, str]:
    """What a party says whose ICE failed."""
    stage = chance.choices([name for name, _ in _STAGES], weights=[share for _, share in _STAGES])[0]
    return {"ice": "failed", "failedIn": stage}


def _section(chance: random.Random, section: str, mid: int, fingerprint: str) -> list[str]:
    codecs = _CODECS[section]
    return [
        f"m={section} 9 UDP/TLS/RTP/SAVPF {' '.join(number for number, _ in codecs)}",
        "c=IN IP4 0.0.0.0",
        "a=rtcp:9 IN IP4 0.0.0.0",
        f"a=ice-ufrag:{_token(chance, 4)}",
        f"a=ice-pwd:{_token(chance, 24)}",
        "a=ice-options:trickle",
        f"a=fingerprint:sha-256 {fingerprint}",
        "a=setup:actpass",
        f"a=mid:{mid}",
        "a=sendrecv",
        "a=rtcp-mux",
        *(f"a=rtpmap:{number} {name}" for number, name in codecs),
        *(f"a=rtcp-fb:{number} transport-cc" for number, _ in codecs),
    ]


def _source(chance: random.Random) -> str:
    source = chance.getrandbits(32)
    return f"a=ssrc:{source} cname:{_token(chance, 16)}\r\na=ssrc:{source} msid:{_token(chance, 36)}\r\n"


def _token(chance: random.Random, length: int) -> str:
    return "".join(chance.choices("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", k=length))

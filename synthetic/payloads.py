"""Session descriptions and candidates that look like a browser's. All addresses are from documentation ranges."""

import random
from typing import Any

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

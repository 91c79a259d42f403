"""The pictures of the demo page for the documentation: `python -m tests.browser.pictures`.

They are taken from real calls. In place of a camera there is a drawing of a person, which keeps
still: so the video has no noise, and the pictures stay small.
"""

import base64
import struct
import tempfile
import zlib
from pathlib import Path

from playwright.sync_api import Browser

from tests.browser.chromium import PHONE, Tab, chromium, close_tabs, join, open_tab
from tests.support.needs import ROOT, need_program
from tests.support.server import running_server

FOLDER = ROOT / "docs" / "pictures"
MAX_BYTES = 200_000
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"

PERSON = """
    const draw = (pen, { wall, skin, hair, shirt, long }) => {
        pen.fillStyle = wall;
        pen.fillRect(0, 0, 640, 480);
        pen.fillStyle = "rgb(255 255 255 / 14%)";
        pen.fillRect(60, 50, 150, 190);
        pen.fillRect(440, 90, 140, 12);
        const ellipse = (x, y, rx, ry, color) => {
            pen.fillStyle = color;
            pen.beginPath();
            pen.ellipse(x, y, rx, ry, 0, 0, 7);
            pen.fill();
        };
        if (long) ellipse(320, 250, 104, 150, hair);
        ellipse(320, 500, 190, 150, shirt);
        pen.fillStyle = skin;
        pen.fillRect(288, 300, 64, 80);
        ellipse(320, 375, 46, 30, skin);
        ellipse(320, 182, 92, 80, hair);
        ellipse(320, 232, 78, 98, skin);
        ellipse(320, 150, 74, 36, hair);
        for (const x of [292, 348]) ellipse(x, 226, 7, 9, "#26211f");
        pen.strokeStyle = "#8c4a3c";
        pen.lineWidth = 6;
        pen.lineCap = "round";
        pen.beginPath();
        pen.arc(320, 258, 30, 0.5, 2.64);
        pen.stroke();
    };
    const LOOKS = {
        alice: { wall: "#7fa8b5", skin: "#e0ac8a", hair: "#4a2c22", shirt: "#d96f52", long: true },
        bob: { wall: "#c9b38c", skin: "#b77f5c", hair: "#231c1a", shirt: "#2f6d86", long: false },
    };
    const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
    navigator.mediaDevices.getUserMedia = async (wanted) => {
        const stream = await open({ audio: wanted.audio });
        if (!wanted.video) return stream;
        const canvas = Object.assign(document.createElement("canvas"), { width: 640, height: 480 });
        const pen = canvas.getContext("2d");
        const look = LOOKS[new URLSearchParams(location.search).get("user")] ?? LOOKS.alice;
        const next = () => draw(pen, look);
        next();
        setInterval(next, 40);
        stream.addTrack(canvas.captureStream(25).getVideoTracks()[0]);
        return stream;
    };
"""

PHONE_DARK = {"viewport": PHONE, "color_scheme": "dark", "has_touch": True}


SMALLER = """
    async (source) => {
        const image = Object.assign(new Image(), { src: source });
        await image.decode();
        const canvas = Object.assign(document.createElement("canvas"), { width: image.width, height: image.height });
        const pen = canvas.getContext("2d");
        pen.drawImage(image, 0, 0);
        const pixels = pen.getImageData(0, 0, image.width, image.height);
        for (let i = 0; i < pixels.data.length; i += 1) {
            if (i % 4 !== 3) pixels.data[i] = Math.round(Math.round(pixels.data[i] / STEP) * STEP);
        }
        pen.putImageData(pixels, 0, 0);
        return canvas.toDataURL("image/png").split(",")[1];
    }
""".replace("STEP", "(255 / 63)")
"""Rounds colours to six bits, which no eye sees and which halves the file: gradients lose their noise."""


def packed(picture: bytes) -> bytes:
    """The same PNG, compressed as well as it goes; browsers compress in haste."""
    chunks, start = [], len(PNG_SIGNATURE)
    while start < len(picture):
        (length,) = struct.unpack_from(">I", picture, start)
        chunks.append((picture[start + 4 : start + 8], picture[start + 8 : start + 8 + length]))
        start += length + 12
    pixels = zlib.decompress(b"".join(data for kind, data in chunks if kind == b"IDAT"))
    kept = [(b"IHDR", dict(chunks)[b"IHDR"]), (b"IDAT", zlib.compress(pixels, 9)), (b"IEND", b"")]
    return PNG_SIGNATURE + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in kept
    )


def save(tab: Tab, name: str) -> None:
    """Save a picture, in size as the documentation bears it.

    Raises:
        ValueError: the picture is too large.
    """
    source = base64.b64encode(tab.page.screenshot()).decode()
    with tab.page.context.new_page() as empty:
        content = packed(base64.b64decode(empty.evaluate(SMALLER, f"data:image/png;base64,{source}")))
    if len(content) > MAX_BYTES:
        raise ValueError(f"the picture {name} has {len(content)} bytes, more than {MAX_BYTES}")
    (FOLDER / f"demo-{name}.png").write_bytes(content)


def take(browser: Browser, url: str) -> None:
    """One call between a laptop and a phone, a picture at each turn of it."""
    first = open_tab(browser, url)
    first.page.wait_for_selector("#join:enabled")
    save(first, "join")
    alice = join(browser, url, "alice", before=PERSON)
    bob = join(browser, url, "bob", before=PERSON, **PHONE_DARK)
    save(alice, "joined")
    alice.ask_for(bob)
    alice.plays("#local")
    save(bob, "incoming-phone")
    bob.press("#accept")
    for tab in (alice, bob):
        tab.state("connected")
        tab.plays("#remote")
    bob.page.wait_for_function("() => document.querySelector('#timer').textContent === '0:03'")
    save(alice, "connected")
    save(bob, "connected-phone")
    alice.press("#hangup")
    bob.state("ended")
    alice.page.emulate_media(color_scheme="dark")
    save(alice, "ended")
    close_tabs(browser)


def main() -> None:
    """Take all pictures anew."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    executable = need_program("chromium", "chromium")
    with (
        tempfile.TemporaryDirectory() as folder,
        running_server(Path(folder)) as server,
        chromium(executable) as browser,
    ):
        take(browser, server.url)


if __name__ == "__main__":
    main()

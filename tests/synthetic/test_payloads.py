import random

import pytest

from synthetic.payloads import candidate, description


@pytest.mark.parametrize("media", ["audio", "video"])
def test_a_description_looks_like_a_browsers(media: str) -> None:
    for seed in range(50):
        offer = description(random.Random(seed), "offer", media)
        assert offer["type"] == "offer"
        assert 2_000 <= len(offer["sdp"]) <= 5_000
        assert offer["sdp"].startswith("v=0\r\n")
        assert ("m=video" in offer["sdp"]) is (media == "video")


def test_descriptions_and_candidates_differ_but_repeat_for_a_seed() -> None:
    chance = random.Random(1)
    assert description(chance, "offer", "audio") != description(chance, "offer", "audio")
    assert description(random.Random(1), "answer", "video") == description(random.Random(1), "answer", "video")
    assert candidate(random.Random(1), 0) == candidate(random.Random(1), 0)


def test_candidates_are_of_every_type() -> None:
    texts = [candidate(random.Random(1), number)["candidate"] for number in range(4)]
    assert all(text.startswith("candidate:") for text in texts)
    for kind in ("host", "srflx", "relay"):
        assert any(f" typ {kind}" in text for text in texts)

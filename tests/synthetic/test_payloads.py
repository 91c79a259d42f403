import random

import msgspec
import pytest

from service.domain.quality import CallStats, Path
from synthetic import payloads
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


def understood(stats: dict[str, object]) -> CallStats:
    return msgspec.json.decode(msgspec.json.encode(stats), type=CallStats)


def test_reports_are_what_the_server_takes_and_take_every_way() -> None:
    chance = random.Random(1)
    seen = set()
    for _ in range(500):
        way = payloads.route(chance)
        for caller in (True, False):
            told = understood(
                {
                    "pair": payloads.pair(way, caller=caller),
                    **payloads.measures(chance, way, chance.choice(["audio", ""])),
                }
            )
            assert told.pair is not None
            seen.add(told.pair.path)
    assert seen == set(Path)


def test_failures_are_what_the_server_takes() -> None:
    chance = random.Random(1)
    assert len({understood(dict(payloads.failure(chance))).failed_in for _ in range(200)}) == 3


def test_both_parties_see_the_same_way_from_their_side() -> None:
    chance = random.Random(1)
    for _ in range(50):
        way = payloads.route(chance)
        mine, theirs = payloads.pair(way, caller=True), payloads.pair(way, caller=False)
        assert (mine["local"], mine["remote"]) == (theirs["remote"], theirs["local"])

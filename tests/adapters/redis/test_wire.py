"""What stands in Redis, in one version and in others."""

from typing import get_args

import msgspec
import pytest
from msgspec.structs import replace

from service.adapters.redis.wire import (
    AnyEffect,
    PoisonError,
    RedisTime,
    decode_batch,
    decode_messages,
    decode_record,
    encode_batch,
    encode_message,
    encode_record,
)
from service.domain.call import step
from service.domain.effects import Effect, Ended, Reason
from service.domain.events import Accept, HangUp, Lost, MediaUp
from service.ports import RedisWatch
from tests.domain.playbook import ALICE, ALICE_ID, BOB, CALL, STARTED_S, ringing


def test_every_effect_can_travel() -> None:
    assert set(get_args(AnyEffect)) == set(Effect.__subclasses__())


def test_an_effect_arrives_as_it_was_sent() -> None:
    ended = Ended(to=(ALICE, BOB), call_id=CALL, by=ALICE_ID, reason=Reason.HANGUP)
    batch = decode_batch(encode_batch("one", 7, [encode_message(ended)]))
    assert (batch.origin, batch.seq) == ("one", 7)
    assert decode_messages(batch, RedisWatch()) == [ended]


def test_a_call_comes_back_as_it_was_to_the_microsecond() -> None:
    time = RedisTime()
    time.measured(1_800_000_000_123_456, 1000.0, 1000.002)
    routes = {ALICE: "one", BOB: "other"}
    call = ringing(grace_s=10)
    connected = step(step(call, Accept(by=BOB), STARTED_S + 0.000001).call, MediaUp(by=BOB), STARTED_S + 2.25).call
    away = step(connected, Lost(by=ALICE), STARTED_S + 3.125).call
    ended = step(connected, HangUp(by=ALICE), STARTED_S + 3.125).call
    for each in (call, connected, away, ended):
        assert decode_record(encode_record(each, routes, time), time) == (each, routes)


def test_another_node_reads_the_times_on_its_own_clock() -> None:
    one, other = RedisTime(), RedisTime()
    one.measured(2_000_000_000, 1000.0, 1000.0)
    other.measured(2_000_000_000, 500.0, 500.0)
    read, _ = decode_record(encode_record(ringing(), {}, one), other)
    assert (read.placed_at_s, read.ring_until_s) == (STARTED_S - 500, STARTED_S - 470)


def test_the_time_of_redis_is_estimated_anew_only_when_it_is_wrong() -> None:
    time = RedisTime()
    time.measured(2_000_000_000, 1000.0, 1000.0)
    time.measured(2_000_050_000, 1000.0, 1000.0)  # 50 ms: within what is tolerated
    assert time.ahead_s == 1000.0
    time.measured(2_010_000_000, 1000.0, 1000.5)  # an answer that took long says too little
    assert time.ahead_s == 1000.0
    time.measured(2_010_000_000, 1000.0, 1000.0)
    assert time.ahead_s == 1010.0


def test_a_record_of_an_older_version_is_read() -> None:
    time = RedisTime()
    fields = msgspec.msgpack.decode(encode_record(ringing(), {}, time))
    for added_since in ("answered_at_s", "connected_at_s", "ended_at_s", "reason"):
        del fields["call"][added_since]
    call, _ = decode_record(msgspec.msgpack.encode(fields), time)
    assert call == ringing()


@pytest.mark.parametrize(("schema", "kind"), [(0, "version"), (2, "version"), ("1", "malformed"), (None, "malformed")])
def test_a_record_that_cannot_be_read(schema: object, kind: str) -> None:
    fields = msgspec.msgpack.decode(encode_record(ringing(), {}, RedisTime()))
    with pytest.raises(PoisonError) as poison:
        decode_record(msgspec.msgpack.encode({**fields, "schema": schema}), RedisTime())
    assert poison.value.kind == kind


def test_a_time_in_milliseconds_is_never_early() -> None:
    time = RedisTime()
    assert time.to_ms(1.0001) == 1001
    assert time.to_ms(1.0) == 1000


def test_versions_of_a_call_differ_in_what_they_say() -> None:
    time = RedisTime()
    assert encode_record(ringing(), {}, time) != encode_record(replace(ringing(), version=2), {}, time)

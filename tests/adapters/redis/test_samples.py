"""Nodes of several versions side by side: what older ones wrote is read, and what is written older ones can read.

When one of these fails after a change, nodes would not understand each other while it is deployed: CONTRIBUTING.md,
"Change what nodes tell each other", says what to do. The samples themselves are never changed.
"""

from collections.abc import Iterator
from typing import Any, get_args

import msgspec
import pytest
from msgspec.structs import FieldInfo, fields

from service.adapters.redis.wire import (
    SCHEMA,
    Batch,
    Message,
    PoisonError,
    Record,
    RedisTime,
    decode_batch,
    decode_messages,
    decode_record,
    decode_relays,
)
from service.domain.call import Call, Party
from service.domain.effects import Relayed, Snapshot
from service.domain.ice import IceGrant, IceServer
from tests.adapters.redis import samples
from tests.support.redis import Tally

RECORDED = [
    pytest.param(name, sample, id=f"{schema} {name}")
    for schema in range(1, SCHEMA + 1)
    for name, sample in samples.recorded(schema).items()
]
NOW = samples.recorded(SCHEMA)
MESSAGES: tuple[type[msgspec.Struct], ...] = get_args(Message)
WITHIN: tuple[type[msgspec.Struct], ...] = (Batch, Record, Call, Party, Snapshot, IceGrant, IceServer)
"""What stands in others, or holds them."""


def read(name: str, sample: bytes) -> object:
    """What today's code makes of a sample."""
    if name in samples.CALLS:
        return decode_record(sample, RedisTime())
    tally = Tally()
    if name in samples.BATCHES:
        batch = decode_batch(sample)
        return samples.Sent(batch.origin, batch.seq, ()), decode_messages(batch, tally), tally.poison
    message = [msgspec.Raw(sample)]
    return decode_messages(Batch(SCHEMA, "one", 1, message), tally), tally.poison


def meaning(name: str) -> object:
    """What a sample says."""
    if name in samples.CALLS:
        return samples.CALLS[name], samples.ROUTES
    if name in samples.BATCHES:
        sent = samples.BATCHES[name]
        return sent._replace(messages=()), [samples.MESSAGES[each] for each in sent.messages], []
    return [samples.MESSAGES[name]], []


@pytest.mark.parametrize(("name", "sample"), RECORDED)
def test_what_was_ever_written_is_read(name: str, sample: bytes) -> None:
    assert read(name, sample) == meaning(name)


@pytest.mark.parametrize("name", [name for name, it in samples.MESSAGES.items() if isinstance(it, Relayed)])
def test_what_was_kept_for_a_party_is_read(name: str) -> None:
    tally = Tally()
    assert decode_relays([NOW[name]], tally) == (samples.MESSAGES[name],)
    assert tally.poison == []


@pytest.mark.parametrize("name", NOW)
def test_older_nodes_find_all_that_they_know_in_what_is_written_now(name: str) -> None:
    """They ignore what they do not know; what they do know stands where it stood and says what it said."""
    assert holds(msgspec.msgpack.decode(samples.written_now()[name]), msgspec.msgpack.decode(NOW[name]))


def holds(new: Any, old: Any) -> bool:
    """Whether everything of `old` is in `new`."""
    if isinstance(old, dict) and isinstance(new, dict):
        return all(key in new and holds(new[key], value) for key, value in old.items())
    if isinstance(old, list) and isinstance(new, list):
        return len(old) == len(new) and all(map(holds, new, old))
    return bool(old == new)


def test_everything_that_travels_stands_in_a_sample_with_every_field() -> None:
    """Else a value is to be added to `samples.MESSAGES` or `samples.CALLS`, and recorded."""
    assert set(samples.written_now()) == set(NOW)
    for kind in (*MESSAGES, *WITHIN):
        values = list(written(kind))
        assert values, kind
        for field in optional(kind):
            assert any(getattr(value, field.name) != field.default for value in values), (kind, field.name)


def optional(kind: type[msgspec.Struct]) -> list[FieldInfo]:
    """The fields that need not be there."""
    return [field for field in fields(kind) if not field.required]


def written(kind: type[msgspec.Struct]) -> Iterator[msgspec.Struct]:
    """All values of this type among the samples, at any depth."""
    batches = [decode_batch(NOW[name]) for name in samples.BATCHES]
    waiting: list[Any] = [*samples.MESSAGES.values(), *map(stored, samples.CALLS), *batches]
    while waiting:
        value = waiting.pop()
        if isinstance(value, kind):
            yield value
        if isinstance(value, msgspec.Struct):
            waiting += [getattr(value, field.name) for field in fields(value)]
        elif isinstance(value, tuple):
            waiting += value


def stored(name: str) -> Record:
    """A call as Redis keeps it."""
    return Record(SCHEMA, samples.CALLS[name], dict(samples.ROUTES))


def fewer(kind: type[msgspec.Struct]) -> type[msgspec.Struct]:
    """The type as a node knows it that does not know the fields with a default."""
    known = [(field.name, field.type) for field in fields(kind) if field.required]
    return msgspec.defstruct(kind.__name__, known, kw_only=True, tag=kind.__struct_config__.tag)


def more(kind: type[msgspec.Struct]) -> type[msgspec.Struct]:
    """The type as a node knows it that has one more field."""
    known = [(field.name, field.type, *default_of(field)) for field in fields(kind)]
    return msgspec.defstruct(
        kind.__name__, [*known, ("added_since", str, "as before")], kw_only=True, tag=kind.__struct_config__.tag
    )


def default_of(field: FieldInfo) -> tuple[Any, ...]:
    return () if field.required else (field.default,)


@pytest.mark.parametrize("other", [fewer, more])
@pytest.mark.parametrize("kind", [*MESSAGES, *WITHIN])
def test_a_node_that_knows_fewer_fields_or_more_reads_what_is_written(kind: type[msgspec.Struct], other: Any) -> None:
    theirs = other(kind)
    values = list(written(kind))
    assert values
    for value in values:
        there = msgspec.msgpack.decode(msgspec.msgpack.encode(value), type=theirs)
        for field in fields(theirs):
            expected = "as before" if field.name == "added_since" else getattr(value, field.name)
            assert getattr(there, field.name) == expected


@pytest.mark.parametrize("name", [*samples.MESSAGES, *samples.CALLS])
def test_what_a_field_with_a_default_would_say_need_not_be_there(name: str) -> None:
    """An older node of the same schema does not write what was added since."""
    value = samples.MESSAGES[name] if name in samples.MESSAGES else stored(name)
    assert read(name, msgspec.msgpack.encode(bare(value))) == meaning(name)


def bare(value: Any) -> Any:
    """What is written of a value, without the fields that say no more than their default."""
    if isinstance(value, msgspec.Struct):
        tag = value.__struct_config__.tag
        left_out = {field.name for field in optional(type(value)) if getattr(value, field.name) == field.default}
        kept = [field for field in fields(value) if field.name not in left_out]
        return {**({"type": tag} if tag else {}), **{it.encode_name: bare(getattr(value, it.name)) for it in kept}}
    return list(map(bare, value)) if isinstance(value, tuple) else value


@pytest.mark.parametrize("name", [*samples.CALLS, *samples.BATCHES])
def test_what_is_of_a_newer_version_is_refused_as_such(name: str) -> None:
    newer = {**msgspec.msgpack.decode(NOW[name]), "schema": SCHEMA + 1}
    with pytest.raises(PoisonError) as poison:
        read(name, msgspec.msgpack.encode(newer))
    assert poison.value.kind == "version"

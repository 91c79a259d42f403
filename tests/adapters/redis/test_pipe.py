"""What goes out to Redis and comes back on one connection."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import NoScriptError, ResponseError

from service.adapters.redis.address import connector
from service.adapters.redis.pipe import Pipe, packed
from tests.support.redis import RedisServer, until


@pytest.fixture
async def connection(redis: RedisServer) -> AsyncIterator[AbstractConnection]:
    made = await connector(redis.url)()
    yield made
    await made.disconnect(nowait=True)


@pytest.fixture
def answers() -> list[Any]:
    return []


@pytest.fixture
async def pipe(connection: AbstractConnection, answers: list[Any]) -> Pipe:
    return Pipe(connection, answers.append)


async def test_answers_come_in_the_order_of_the_commands(pipe: Pipe, answers: list[Any]) -> None:
    pipe.write(b"".join(packed(("ECHO", word)) for word in ("one", b"\xff two", 3)))
    pipe.write(packed(("PING",)))
    await until(lambda: len(answers) == 4)
    assert answers == [b"one", b"\xff two", b"3", b"PONG"]


async def test_an_answer_in_many_pieces_is_one(pipe: Pipe, answers: list[Any]) -> None:
    pipe.write(packed(("ECHO", b"x" * 3_000_000)))
    await until(lambda: bool(answers))
    assert answers == [b"x" * 3_000_000]


async def test_refusals_are_answers(pipe: Pipe, answers: list[Any]) -> None:
    pipe.write(packed(("EVALSHA", "0" * 40, 0)) + packed(("NO-SUCH",)) + packed(("PING",)))
    await until(lambda: len(answers) == 3)
    assert [type(answer) for answer in answers] == [NoScriptError, ResponseError, bytes]
    assert str(answers[1]).startswith("ERR unknown command")


async def test_the_end_of_the_connection_is_told(redis: RedisServer, pipe: Pipe) -> None:
    redis.kill()
    await asyncio.wait_for(pipe.over, 10)


async def test_nothing_is_handed_on_once_it_is_given_up(pipe: Pipe, answers: list[Any]) -> None:
    pipe.write(packed(("PING",)))
    pipe.give_up()
    assert pipe.over.done()
    pipe.data_received(b"+PONG\r\n")
    assert answers == []


async def test_what_is_not_redis_ends_the_connection(pipe: Pipe, answers: list[Any]) -> None:
    pipe.data_received(b"+PONG\r\nHTTP/1.1 400 Bad Request\r\n\r\n")
    assert answers == [b"PONG"]
    assert pipe.over.done()


@pytest.mark.parametrize("state", ["LOADING Redis is loading the dataset in memory", "MASTERDOWN Link with MASTER"])
async def test_a_server_that_does_not_serve_ends_the_connection(pipe: Pipe, answers: list[Any], state: str) -> None:
    pipe.data_received(f"-{state}\r\n".encode())
    assert pipe.over.done()
    assert answers == []


async def test_a_connection_that_was_closed_cannot_be_used(connection: AbstractConnection) -> None:
    await connection.disconnect(nowait=True)
    with pytest.raises(ConnectionError):
        Pipe(connection, print)

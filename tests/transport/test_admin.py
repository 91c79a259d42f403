"""What the admin API answers when something of ours fails, and what it writes of that."""

import json
import logging
from types import SimpleNamespace
from typing import Any

import pytest
from sanic import Sanic
from sanic_testing.testing import SanicASGITestClient

from service.ports import OutOfReachError
from tests.support.admin import admin_app_without_node

TOKEN = "t" * 32
HEADERS = {"authorization": f"Bearer {TOKEN}"}


def app_with(evict: Exception) -> Sanic:  # type: ignore[type-arg]
    async def failing(_user: str) -> int:
        raise evict

    return admin_app_without_node(TOKEN, SimpleNamespace(evict=failing))


async def evict(error: Exception) -> tuple[int, dict[str, Any]]:
    client = SanicASGITestClient(app_with(error))
    _request, response = await client.delete("/admin/users/zaphod/connections", headers=HEADERS)
    return response.status_code, json.loads(response.text)


async def test_a_failure_of_ours_is_logged_without_the_user(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        status, body = await evict(LookupError("of zaphod's"))
    assert (status, body["code"]) == (500, "internal")
    (record,) = caplog.records
    assert record.getMessage() == "a request to the admin API failed: LookupError"
    assert record.exc_info is not None
    assert "zaphod" not in json.dumps(body)


async def test_a_directory_out_of_reach_is_no_failure_of_ours(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        status, body = await evict(OutOfReachError())
    assert (status, body["code"]) == (503, "unavailable")
    assert caplog.records == []

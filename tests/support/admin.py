"""A client of the admin API that holds every answer against the OpenAPI document."""

import contextlib
import json
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

from jsonschema import Draft202012Validator
from sanic import Sanic

from service.export.openapi import admin_openapi_document
from service.transport.admin import Admin, admin_app
from tests.support.server import Server, free_port, running_server

TOKEN = "a token of the tests with more than 32 characters"  # noqa: S105 - made up
DOCUMENT = json.loads(admin_openapi_document())
JSON, TEXT = "application/json", "text/plain"


class Answer(NamedTuple):
    """What came back. `body` is a value where it was JSON, else text."""

    status: int
    body: Any
    headers: dict[str, str]


class AdminClient:
    """Asks one node's admin API."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    def ask(
        self, method: str, path: str, *, authorization: str | None = f"Bearer {TOKEN}", accept: str = "*/*"
    ) -> Answer:
        """Send a request; what comes must be as the document says."""
        request = urllib.request.Request(self.url + path, method=method, headers={"Accept": accept})  # noqa: S310
        if authorization is not None:
            request.add_header("Authorization", authorization)
        try:
            with urllib.request.urlopen(request, timeout=20) as response:  # noqa: S310 - loopback
                answer = _answer(response.status, response.headers, response.read())
        except urllib.error.HTTPError as error:
            with error:
                answer = _answer(error.code, error.headers, error.read())
        check(method, path, answer)
        return answer

    def get(self, path: str) -> Any:
        """The body of a good answer to GET."""
        answer = self.ask("GET", path)
        assert answer.status == 200, answer
        return answer.body


def _answer(status: int, headers: Any, body: bytes) -> Answer:
    is_json = headers.get_content_type() == JSON
    return Answer(status, json.loads(body) if is_json else body.decode(), {k.lower(): v for k, v in headers.items()})


def operation_of(method: str, path: str) -> dict[str, Any] | None:
    """The operation of the document that a request is for."""
    bare = urllib.parse.urlsplit(path).path
    for template, operations in DOCUMENT["paths"].items():
        if re.fullmatch(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(template)), bare) and method.lower() in operations:
            found: dict[str, Any] = operations[method.lower()]
            return found
    return None


def check(method: str, path: str, answer: Answer) -> None:
    """Hold an answer against the document."""
    operation = operation_of(method, path)
    if operation is None:
        assert answer.status in (401, 404, 405)
        schema: Any = {"$ref": "#/components/schemas/AdminError"}
    else:
        content = operation["responses"][str(answer.status)]["content"]
        schema = content[answer.headers["content-type"].partition(";")[0]]["schema"]
    Draft202012Validator({**schema, "components": DOCUMENT["components"]}).validate(answer.body)


def admin_app_without_node(token: str = TOKEN, control: Any = None) -> Sanic:  # type: ignore[type-arg]
    """The admin API of no node, for what does not need one; `control` stands for its call control."""
    nothing: Any = SimpleNamespace(now=lambda: 0.0)
    parts = Admin(
        token=token,
        node=None,
        control=control,
        directory=nothing,
        gateway=nothing,
        health=nothing,
        drain=nothing,
        clock=nothing,
        can_reach_others=None,
        explain=lambda _call_id: None,
    )
    return admin_app(parts)


@contextlib.contextmanager
def governed_server(directory: Path, **settings: str) -> Iterator[tuple[Server, AdminClient]]:
    """A server with an admin API, and a client of that."""
    port = free_port()
    with running_server(directory, ADMIN_TOKEN=TOKEN, ADMIN_PORT=str(port), **settings) as server:
        yield server, AdminClient(port)

"""What those who run the server can do over HTTP: send a user away."""

import hmac
from collections.abc import Awaitable, Callable

from sanic import Request, Sanic
from sanic.response import HTTPResponse, json

from service.domain.ids import UserId

PATH = "/admin/users/<user:str>/connections"
_SCHEME = "Bearer "


def add_admin(app: Sanic, token: str, evict: Callable[[UserId], Awaitable[int]]) -> None:  # type: ignore[type-arg]
    """Serve the admin API to who knows the token: `DELETE /admin/users/<user>/connections`.

    Answers 401 to everybody else, and never says whether a user exists: of an unknown one it closes nothing.
    """

    @app.delete(PATH, name="evict", unquote=True)
    async def evict_user(request: Request, user: str) -> HTTPResponse:
        """Close all connections of a user, on every node. Its client does not connect again by itself."""
        given = request.headers.getone("authorization", "")
        if not hmac.compare_digest(given.encode(), f"{_SCHEME}{token}".encode()):
            challenge = {"www-authenticate": "Bearer"}
            return json({"code": "unauthorized", "message": "ADMIN_TOKEN is required"}, status=401, headers=challenge)
        return json({"closed": await evict(UserId(user))})

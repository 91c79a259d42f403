"""Which web pages may talk to the server (Fetch standard, CORS protocol)."""

from collections.abc import Mapping, Sequence

_METHODS = "GET, POST, OPTIONS"
PREFLIGHT_AGE_S = "600"


class Origins:
    """An allow-list of origins. `*` stands for all, and for no credentials then."""

    def __init__(self, allowed: Sequence[str]) -> None:
        self._allowed = frozenset(allowed)
        self._all = "*" in self._allowed

    def welcomes(self, origin: str | None) -> bool:
        """Whether a request may come from a page of this origin. Programs send none."""
        return self._all or origin is None or origin in self._allowed

    def headers(self, origin: str | None) -> dict[str, str]:
        """What to tell the browser of a page that is welcome."""
        if origin is None:
            return {}
        if self._all:
            return {"access-control-allow-origin": "*"}
        if origin not in self._allowed:
            return {}
        return {
            "access-control-allow-origin": origin,
            "access-control-allow-credentials": "true",
            "vary": "Origin",
        }

    def preflight(self, origin: str | None, request_headers: Mapping[str, str]) -> dict[str, str]:
        """The answer to a preflight request."""
        headers = self.headers(origin)
        if headers:
            headers["access-control-allow-methods"] = _METHODS
            headers["access-control-max-age"] = PREFLIGHT_AGE_S
            asked = request_headers.get("access-control-request-headers")
            if asked:
                headers["access-control-allow-headers"] = asked
        return headers

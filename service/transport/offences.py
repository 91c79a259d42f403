"""One log line for each client that does not keep the protocol, and not more lines than anyone reads."""

import logging

from service.domain.budget import Bucket, Rate

LINES = Rate(20, 10.0)
"""How many lines there may be. What exceeds them is counted, and told with the next line."""


class OffenceLog:
    """Says which rule was broken, and nothing of who did or what was sent."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._bucket: Bucket | None = None
        self._unsaid = 0

    def tell(self, rule: str, transport: str, now_s: float) -> None:
        """A connection was closed for breaking a rule."""
        if self._bucket is None:
            self._bucket = Bucket(LINES, now_s)
        if self._bucket.take(LINES, now_s):
            self._unsaid += 1
            return
        more = f" (and {self._unsaid} more, not logged)" if self._unsaid else ""
        self._unsaid = 0
        self._log.warning(
            "connection closed, the client broke a rule: %s%s", rule, more, extra={"transport": transport}
        )

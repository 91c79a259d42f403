"""The observer that moves the instruments of Redis and the inboxes."""

from observability import catalogue as c
from observability.cluster_catalogue import COMMANDS
from observability.instruments import Instruments
from service.ports import RedisWatch

_RESTORED = {"ours": "rewritten", "theirs": "newer", "over": "over"}


class ClusterMetrics(RedisWatch):
    """Redis as this node finds it, and what goes on between it and the other nodes."""

    def __init__(self, instruments: Instruments) -> None:
        self._instruments = instruments
        self._up = instruments.gauge(c.REDIS_UP)
        self._commands = {name: instruments.histogram(c.REDIS_COMMAND_DURATION, name) for name in COMMANDS}
        self._rare = self._commands[c.OTHER]
        self._lag = instruments.histogram(c.INBOX_LAG)
        self._sizes = instruments.histogram(c.INBOX_BATCH_SIZE)
        self._received = instruments.counter(c.INBOX_MESSAGES, "in")
        instruments.counter(c.INBOX_MESSAGES, "out").read = lambda: self._sizes.sum

    def command_done(self, command: str, took_s: float, outcome: str) -> None:
        """See `RedisWatch.command_done`."""
        self._commands.get(command, self._rare).observe(took_s)
        if outcome != "ok":
            self._instruments.counter(c.REDIS_COMMANDS_FAILED, outcome).value += 1

    def redis_reached(self) -> None:
        """See `RedisWatch.redis_reached`."""
        self._up.value = 1

    def redis_lost(self) -> None:
        """See `RedisWatch.redis_lost`."""
        self._up.value = 0

    def reconnected(self) -> None:
        """See `RedisWatch.reconnected`."""
        self._instruments.counter(c.REDIS_RECONNECTS).value += 1

    def nodes_living(self, count: int) -> None:
        """See `RedisWatch.nodes_living`."""
        self._instruments.gauge(c.CLUSTER_NODES).value = count

    def batch_sent(self, messages: int) -> None:
        """See `RedisWatch.batch_sent`."""
        self._sizes.observe(messages)

    def batch_received(self, messages: int, lag_s: float) -> None:
        """See `RedisWatch.batch_received`."""
        self._received.value += messages
        self._lag.observe(lag_s)

    def poison_ignored(self, kind: str) -> None:
        """See `RedisWatch.poison_ignored`."""
        self._instruments.counter(c.INBOX_PROBLEMS, kind).value += 1

    def messages_lost(self, entries: int) -> None:
        """See `RedisWatch.messages_lost`."""
        self._instruments.counter(c.INBOX_PROBLEMS, "lost").value += entries

    def delivery_missed(self) -> None:
        """See `RedisWatch.delivery_missed`."""
        self._instruments.counter(c.INBOX_PROBLEMS, "undelivered").value += 1

    def fenced(self) -> None:
        """See `RedisWatch.fenced`."""
        self._instruments.counter(c.LEASES_LOST).value += 1

    def session_reaped(self) -> None:
        """See `RedisWatch.session_reaped`."""
        self._instruments.counter(c.SESSIONS_REAPED).value += 1

    def call_restored(self, result: str) -> None:
        """See `RedisWatch.call_restored`."""
        self._instruments.counter(c.CALLS_RECOVERED, _RESTORED[result]).value += 1

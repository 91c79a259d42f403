"""What may be seen of Redis and the inboxes. As it stands it watches nothing, which is the default."""


class RedisWatch:
    """Overridden by whoever counts. Must not block, must not raise; times are in seconds."""

    def command_done(self, command: str, took_s: float, outcome: str) -> None:
        """A command (the name of a script, or a Redis command) was `ok`, `refused`, or its outcome is `unknown`."""

    def redis_reached(self) -> None:
        """A connection stands and this node's lease holds: the first, or one after `redis_lost`."""

    def redis_lost(self) -> None:
        """Nothing can be asked of Redis until `redis_reached`."""

    def reconnected(self) -> None:
        """A connection to Redis, other than the first, was made."""

    def nodes_living(self, count: int) -> None:
        """How many nodes hold a lease, this one among them."""

    def batch_sent(self, messages: int) -> None:
        """An entry with so many messages was put into another node's inbox."""

    def batch_received(self, messages: int, lag_s: float) -> None:
        """An entry of the inbox was read, `lag_s` after it was put there."""

    def poison_ignored(self, kind: str) -> None:
        """Something in the inbox or the directory was ignored: `too_large`, `malformed`, `version`, `duplicate`."""

    def messages_lost(self, entries: int) -> None:
        """So many entries that other nodes sent were never read: the inbox was trimmed, or Redis forgot them."""

    def delivery_missed(self) -> None:
        """A message came for a socket that is not here any more."""

    def fenced(self) -> None:
        """A write of this node was refused because its lease was over."""

    def session_reaped(self) -> None:
        """A session of a dead node was cleared up here."""

    def call_restored(self, result: str) -> None:
        """A call met Redis after its return: `ours` was written, `theirs` was newer, or it is `over`."""

"""What a party that is away is sent meanwhile: kept in order and within bounds, for when it comes back.

What fits is kept from the first on, and after the first that does not fit nothing is kept. So the one who comes back
hears what it would have heard up to some moment, and how many came after it. A part from the middle would be of no
use: candidates belong to the description before them, and an answer to its offer.
"""

import msgspec
from msgspec.structs import replace

from service.domain.effects import RelayCandidate, Relayed
from service.domain.ids import SessionId

MAX_MESSAGES = 100
"""One negotiation is a description and 10 to 40 candidates, so there is room for more than two."""

MAX_BYTES = 65_536
"""Of descriptions and candidates. One negotiation of a browser's video call takes about 15,000. Not more than the
least `MAX_OUTGOING_BYTES`, since all of it goes to the one who comes back at once."""


class Missed(msgspec.Struct, frozen=True):
    """The relays that are kept for one party, their size, and how many came after them that are not."""

    relays: tuple[Relayed, ...] = ()
    size_bytes: int = 0
    overflowed: int = 0

    def with_one_more(self, relay: Relayed) -> "Missed":
        """The same after one more relay has come."""
        size_bytes = self.size_bytes + size_of(relay)
        if self.overflowed or len(self.relays) == MAX_MESSAGES or size_bytes > MAX_BYTES:
            return replace(self, overflowed=self.overflowed + 1)
        return Missed((*self.relays, relay), size_bytes)

    def addressed_to(self, session: SessionId) -> tuple[Relayed, ...]:
        """The relays, as this session is to get them."""
        return tuple(replace(relay, to=(session,)) for relay in self.relays)


NOTHING = Missed()


def size_of(relay: Relayed) -> int:
    """The bytes that count for `MAX_BYTES`."""
    return len(relay.candidate if isinstance(relay, RelayCandidate) else relay.description)

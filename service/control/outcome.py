"""What came of a request."""

import msgspec

from service.domain.effects import Effect
from service.domain.ids import CallId


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """What came of a request: the effect that confirms it to the sender, and the call that it was about."""

    confirmation: Effect | None = None
    call_id: CallId | None = None

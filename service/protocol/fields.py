"""The kinds of value that messages are made of, each with its limits and its meaning."""

from typing import Annotated

import msgspec

from service.domain.events import Media
from service.domain.ids import CallId, UserId

MAX_USER_ID_CHARS = 128
MAX_CALL_ID_CHARS = 128

User = Annotated[
    UserId,
    msgspec.Meta(
        min_length=1,
        max_length=MAX_USER_ID_CHARS,
        description="A user id, chosen by the application.",
        examples=["alice"],
    ),
]

Id = Annotated[
    CallId,
    msgspec.Meta(
        min_length=1,
        max_length=MAX_CALL_ID_CHARS,
        description="A call id, opaque: unguessable, unique per call.",
        examples=["7d44a1d0b5c94ee0a6f0d3c0a1b2c3d4"],
    ),
]

CallType = Annotated[Media, msgspec.Meta(description="What the call is for.")]

Description = Annotated[
    msgspec.Raw, msgspec.Meta(description="A session description. Opaque: forwarded byte for byte, never interpreted.")
]

IceCandidate = Annotated[
    msgspec.Raw,
    msgspec.Meta(description="An ICE candidate, or null after the last. Opaque: forwarded byte for byte."),
]

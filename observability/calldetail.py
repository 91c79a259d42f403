"""The fields of a call record. `docs/call-records.md` is made from them."""

from typing import Annotated

import msgspec
from msgspec import Meta


class CallDetail(msgspec.Struct, frozen=True):
    """One ended call. Times are ISO 8601 in UTC, durations seconds; null is what did not happen or is not known."""

    schema: Annotated[int, Meta(description="The version of this list of fields. A new field does not change it.")]
    call_id: Annotated[str, Meta(description="The id of the call, and of its trace.")]
    node: Annotated[str | None, Meta(description="The node that ended the call and writes this; null without Redis.")]
    media: Annotated[str, Meta(description="What it was placed for: `audio` or `video`.")]
    placed_at: Annotated[str, Meta(description="When the caller placed it.")]
    answered_at: Annotated[str | None, Meta(description="When the callee accepted.")]
    connected_at: Annotated[str | None, Meta(description="When the first client said that media flows.")]
    ended_at: Annotated[str, Meta(description="When it ended.")]
    lasted_s: Annotated[float, Meta(description="From placed to ended.")]
    talked_s: Annotated[float | None, Meta(description="From connected to ended.")]
    reason: Annotated[str, Meta(description="Why it ended: the `code` that clients got.")]
    fault: Annotated[str, Meta(description="Whose fault that is: `none`, `user`, `network`, `client`, `server`.")]
    ended_in: Annotated[str, Meta(description="The state before: `ringing`, `connecting`, `connected`.")]
    ended_by: Annotated[
        str,
        Meta(description="Who did it, or was lost: `caller`, `callee`, `server`, `operator` (the admin API)."),
    ]
    glare: Annotated[bool, Meta(description="Whether both parties had called each other at once.")]
    absences: Annotated[int, Meta(description="How often a party's connection was lost, at most 16.")]
    renegotiations: Annotated[int, Meta(description="Offers after the first answer, at most 16.")]
    path: Annotated[
        str | None,
        Meta(description="The way of the media, if told: `relay` if either party said so, else `reflexive`, `host`."),
    ]
    loss_ratio: Annotated[float | None, Meta(description="Share of packets lost: the worse of the parties' means.")]
    round_trip_s: Annotated[float | None, Meta(description="Between the parties: the worse of the parties' means.")]

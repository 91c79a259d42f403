"""Effects of the domain as messages of the wire, and errors too."""

import math
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from service.domain import effects
from service.domain.effects import Effect, Reason, Snapshot
from service.domain.ice import IceGrant
from service.domain.ids import CallId
from service.errors import InternalError, InvalidPayloadError, SignallingError, UserIdRequiredError
from service.protocol import server
from service.protocol.client import ClientMessage
from service.protocol.server import ServerMessage

REASON_TEXTS: dict[Reason, str] = {
    Reason.BUSY: "Busy",
    Reason.NO_ANSWER: "No answer",
    Reason.ANSWERED_ELSEWHERE: "Answered elsewhere",
    Reason.CONNECTION_LOST: "User disconnected",
    Reason.REPLACED: "Continued on another connection",
    Reason.SERVER_SHUTDOWN: "Server shutting down",
    Reason.FAILED: "Connection failed",
}
"""The reasons that carry a text: all but what a party chose by hand (contract, section 3)."""


BY_THE_SERVICE = "Ended by the service"
"""The text of an end that is a party's choice by its code and was none: those who run the service ended the call."""


def _reason_text(reason: Reason) -> str | UnsetType:
    return REASON_TEXTS.get(reason, UNSET)


def _snapshot(snapshot: Snapshot | None) -> server.CallSnapshot | UnsetType:
    if snapshot is None:
        return UNSET
    state: Any = snapshot.state
    return server.CallSnapshot(
        call_id=snapshot.call_id,
        call_type=snapshot.media,
        role=snapshot.role,
        peer=snapshot.peer,
        state=state,
        missed=snapshot.missed or UNSET,
    )


def _joined(effect: effects.Joined) -> ServerMessage:
    grant = effect.ice
    return server.UserJoined(
        user_id=effect.user,
        socket_id=effect.session,
        ice_servers=_ice_servers(grant),
        call=_snapshot(effect.call),
    )


def _ice(effect: effects.IceReport) -> ServerMessage:
    ttl = UNSET if effect.grant.ttl_s is None else effect.grant.ttl_s
    return server.IceServers(ice_servers=_ice_servers(effect.grant), ttl=ttl)


def _ice_servers(grant: IceGrant) -> tuple[server.IceServer, ...]:
    return tuple(
        server.IceServer(each.urls, each.username or UNSET, each.credential or UNSET) for each in grant.servers
    )


def _status(effect: effects.StatusReport) -> ServerMessage:
    return server.UserStatus(user_id=effect.user, is_online=effect.online, is_in_call=effect.in_call)


def _incoming(effect: effects.Incoming) -> ServerMessage:
    return server.CallIncoming(from_=effect.caller, call_type=effect.media, call_id=effect.call_id)


def _initiated(effect: effects.Initiated) -> ServerMessage:
    return server.CallInitiated(call_id=effect.call_id, to=effect.callee)


def _accepted(effect: effects.Accepted) -> ServerMessage:
    return server.CallAccepted(call_id=effect.call_id, by=effect.by)


def _rejected(effect: effects.Rejected) -> ServerMessage:
    return server.CallRejected(
        call_id=effect.call_id, by=effect.by, code=effect.reason, reason=_reason_text(effect.reason)
    )


def _ended(effect: effects.Ended) -> ServerMessage:
    text = _reason_text(effect.reason)
    if text is UNSET and effect.by is None:
        text = BY_THE_SERVICE
    return server.CallEnded(call_id=effect.call_id, by=effect.by, code=effect.reason, reason=text)


def _offer(effect: effects.RelayOffer) -> ServerMessage:
    return server.CallOffer(offer=msgspec.Raw(effect.description), from_=effect.sender, call_type=effect.media)


def _answer(effect: effects.RelayAnswer) -> ServerMessage:
    return server.CallAnswer(answer=msgspec.Raw(effect.description), from_=effect.sender)


def _candidate(effect: effects.RelayCandidate) -> ServerMessage:
    return server.Candidate(candidate=msgspec.Raw(effect.candidate), from_=effect.sender)


def _reconnecting(effect: effects.PeerReconnecting) -> ServerMessage:
    return server.PeerReconnecting(call_id=effect.call_id, user_id=effect.user)


def _reconnected(effect: effects.PeerReconnected) -> ServerMessage:
    return server.PeerReconnected(call_id=effect.call_id, user_id=effect.user)


_MESSAGES: dict[type[Effect], Callable[[Any], ServerMessage]] = {
    effects.Joined: _joined,
    effects.IceReport: _ice,
    effects.StatusReport: _status,
    effects.Incoming: _incoming,
    effects.Initiated: _initiated,
    effects.Accepted: _accepted,
    effects.Rejected: _rejected,
    effects.Ended: _ended,
    effects.RelayOffer: _offer,
    effects.RelayAnswer: _answer,
    effects.RelayCandidate: _candidate,
    effects.PeerReconnecting: _reconnecting,
    effects.PeerReconnected: _reconnected,
}


def to_message(effect: Effect) -> ServerMessage:
    """The message that an effect looks like on the wire."""
    return _MESSAGES[type(effect)](effect)


def to_error(
    error: SignallingError, event: str, asked: type[ClientMessage] | None, call_id: CallId | None
) -> server.Error:
    """The `error` message for a failed event.

    Invalid payloads and internal failures carry the text of the event that failed (`asked.failure`).
    """
    text = error.message
    if asked is not None and isinstance(error, InvalidPayloadError | InternalError):
        text = text if isinstance(error, UserIdRequiredError) else asked.failure
    field: str | UnsetType = UNSET
    detail: str | UnsetType = UNSET
    if isinstance(error, InvalidPayloadError):
        field, detail = error.field or UNSET, error.detail
    return server.Error(
        message=text,
        code=error.code,
        failed=event,
        call_id=call_id or UNSET,
        field_=field,
        detail=detail,
        retry_after_ms=UNSET if error.retry_after_s is None else math.ceil(error.retry_after_s * 1000),
    )

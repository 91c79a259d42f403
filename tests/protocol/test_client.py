import msgspec
import pytest

from service.domain.events import Accept, Answer, Candidate, HangUp, Media, MediaUp, Offer, Reject
from service.domain.ids import CallId, SessionId, UserId
from service.domain.requests import InCall, Initiate, Join, Relay, Request, Status
from service.errors import ALL_ERRORS, UserIdRequiredError
from service.protocol import client
from service.protocol.client import CLIENT_MESSAGES, ClientMessage

ME, ALICE, BOB, CALL = SessionId("s1"), UserId("alice"), UserId("bob"), CallId("c1")
RAW = msgspec.Raw(b'{"a": 1}')


@pytest.mark.parametrize(
    ("message", "request_"),
    [
        (client.UserJoin(ALICE), Join(ALICE)),
        (client.UserStatus(BOB), Status(BOB)),
        (client.CallInitiate(BOB, Media.VIDEO), Initiate(BOB, Media.VIDEO)),
        (client.CallAccept(CALL, ALICE), InCall(CALL, Accept(ME))),
        (client.CallReject(CALL), InCall(CALL, Reject(ME))),
        (client.CallReject(CALL, code="busy"), InCall(CALL, Reject(ME, busy=True))),
        (client.CallOffer(RAW, BOB), Relay(BOB, None, Offer(ME, b'{"a": 1}'))),
        (client.CallOffer(RAW, BOB, ALICE, Media.AUDIO), Relay(BOB, ALICE, Offer(ME, b'{"a": 1}', Media.AUDIO))),
        (client.CallAnswer(RAW, BOB, ALICE), Relay(BOB, ALICE, Answer(ME, b'{"a": 1}'))),
        (client.Candidate(RAW, BOB), Relay(BOB, None, Candidate(ME, b'{"a": 1}'))),
        (client.CallConnected(CALL), InCall(CALL, MediaUp(ME))),
        (client.CallEnd(CALL), InCall(CALL, HangUp(ME))),
        (client.CallEnd(CALL, "failed"), InCall(CALL, HangUp(ME, failed=True))),
    ],
)
def test_what_a_message_asks_of_call_control(message: ClientMessage, request_: Request) -> None:
    assert message.request(ME) == request_


def test_joining_needs_a_user() -> None:
    with pytest.raises(UserIdRequiredError, match=r"^User ID is required$"):
        client.UserJoin(UserId("")).request(ME)
    assert client.UserJoin().request(ME) == Join(None), "the session may know"


@pytest.mark.parametrize("kind", CLIENT_MESSAGES)
def test_every_message_says_what_its_failure_is_called_and_which_errors_it_gets(kind: type[ClientMessage]) -> None:
    assert kind.failure.startswith("Failed to ")
    assert set(kind.errors) <= set(ALL_ERRORS)
    assert (kind.__doc__ or "").endswith(".")

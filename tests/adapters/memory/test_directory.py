"""What the memory directory promises beyond its port; the rest is in `tests.contract`."""

from service.adapters.memory.directory import MemoryDirectory
from service.domain.call import step
from service.domain.events import Accept, HangUp
from service.ports import Unchanged
from tests.domain.playbook import ALICE, ALICE_ID, BOB, BOB_ID, CALL, STARTED_S, ringing


async def test_every_live_call_is_at_hand_for_both_users_also_while_one_is_away() -> None:
    directory = MemoryDirectory()
    await directory.seat(ALICE_ID, ALICE)
    await directory.seat(BOB_ID, BOB)
    call = ringing()
    await directory.commit(call, ())
    assert directory.call_at_hand(ALICE_ID) is directory.call_at_hand(BOB_ID) is call
    accepted = step(call, Accept(by=BOB), STARTED_S).call
    await directory.commit(accepted, (Unchanged(CALL, call.version),))
    await directory.vacate(BOB_ID, BOB)
    assert directory.call_at_hand(ALICE_ID) is directory.call_at_hand(BOB_ID) is accepted
    await directory.commit(step(accepted, HangUp(by=ALICE), STARTED_S).call, ())
    assert directory.call_at_hand(ALICE_ID) is directory.call_at_hand(BOB_ID) is None

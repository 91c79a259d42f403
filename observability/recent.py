"""The calls that have ended lately, so that they can still be explained."""

from collections import OrderedDict

from observability.record import CallRecord, CallWatcher
from service.domain.ids import CallId

MAX_RECENT = 1000
"""Ended calls that are kept. One takes 7 kB as a rule and 19 kB at the most (measured: ADR 0029)."""


class RecentCalls(CallWatcher):
    """Keeps the last `MAX_RECENT` ended calls of this node."""

    def __init__(self, at_most: int = MAX_RECENT) -> None:
        self._at_most = at_most
        self._records: OrderedDict[CallId, CallRecord] = OrderedDict()

    def __len__(self) -> int:
        """How many there are."""
        return len(self._records)

    def find(self, call_id: CallId) -> CallRecord | None:
        """The record of a call that has ended lately."""
        return self._records.get(call_id)

    def settled(self, record: CallRecord) -> None:
        """See `CallWatcher.settled`."""
        self._records[record.call.id] = record
        self._records.move_to_end(record.call.id)
        if len(self._records) > self._at_most:
            self._records.popitem(last=False)

"""The router of a single node: every session is here or nowhere."""

from collections.abc import Sequence

from service.domain.effects import Effect
from service.domain.ids import SessionId
from service.ports import Outlet, Undelivered


class MemoryRouter:
    """`service.ports.Router` that knows one outlet."""

    def __init__(self) -> None:
        self._outlet: Outlet | None = None

    def attach(self, outlet: Outlet) -> None:
        """Name the node's own sockets. Nothing is reachable before."""
        self._outlet = outlet

    def tell(self, effects: Sequence[Effect]) -> None:
        """See `service.ports.Router.tell`."""
        self._deliver(effects)

    async def send(self, effects: Sequence[Effect]) -> frozenset[SessionId]:
        """See `service.ports.Router.send`."""
        return self._deliver(effects)

    def post(self, effect: Effect, missed: Undelivered | None = None) -> bool:
        """See `service.ports.Router.post`."""
        outlet = self._outlet
        if outlet is None:
            return False
        delivered = [outlet.deliver(session, effect) for session in effect.to]
        return any(delivered)

    async def dismiss(self, session: SessionId) -> None:
        """See `service.ports.Router.dismiss`."""
        if self._outlet is not None:
            self._outlet.dismiss(session)

    def _deliver(self, effects: Sequence[Effect]) -> frozenset[SessionId]:
        outlet = self._outlet
        unreachable = [
            session
            for effect in effects
            for session in effect.to
            if outlet is None or not outlet.deliver(session, effect)
        ]
        return frozenset(unreachable)

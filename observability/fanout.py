"""One observer in front of many: an observer that raises is taken out and counted, and nobody else notices."""

import logging
from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

_log = logging.getLogger(__name__)
W = TypeVar("W")
Look = Callable[..., None]


class Fanout(Generic[W]):
    """Shows each sight to the watchers that look for it, in their order.

    A watcher looks for what its class overrides of `base`, whose own methods do nothing. What nobody looks for
    costs a call to `base`; what one watcher looks for costs a call and a `try`.
    """

    def __init__(self, base: type[W], watchers: Mapping[str, W], on_failure: Callable[[str], None]) -> None:
        self._base = base
        self._watchers = dict(watchers)
        self._on_failure = on_failure
        self.front = base()
        """What stands for all the watchers, wherever one is expected."""
        self._wire()

    @property
    def names(self) -> tuple[str, ...]:
        """The watchers that are still in."""
        return tuple(self._watchers)

    def _wire(self) -> None:
        for sight in (name for name in vars(self._base) if not name.startswith("_")):
            looks = tuple(
                (name, getattr(watcher, sight))
                for name, watcher in self._watchers.items()
                if getattr(type(watcher), sight) is not getattr(self._base, sight)
            )
            self.front.__dict__.pop(sight, None)
            if looks:
                self.front.__dict__[sight] = self._shown_to(looks)

    def _shown_to(self, looks: tuple[tuple[str, Look], ...]) -> Look:
        if len(looks) == 1:
            return self._shown_to_one(*looks[0])

        def show(*seen: object) -> None:
            for name, look in looks:
                try:
                    look(*seen)
                except Exception as error:  # noqa: BLE001 - what observes must not break what is observed
                    self._take_out(name, error)

        return show

    def _shown_to_one(self, name: str, look: Look) -> Look:
        def show(*seen: object) -> None:
            try:
                look(*seen)
            except Exception as error:  # noqa: BLE001 - what observes must not break what is observed
                self._take_out(name, error)

        return show

    def _take_out(self, name: str, error: Exception) -> None:
        if self._watchers.pop(name, None) is not None:
            self._wire()
            self._on_failure(name)
            _log.error("observer %s failed and was taken out: %s", name, type(error).__name__, exc_info=error)

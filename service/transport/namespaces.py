"""Which connections are in which namespaces, for python-socketio."""

from collections.abc import Iterable, Iterator

import socketio

from service.transport.engine.server import new_sid


class Namespaces(socketio.AsyncManager):  # type: ignore[misc] # python-socketio has no types
    """python-socketio's client manager without rooms.

    The stock one keeps two two-way dictionaries for each socket and copies the table of all rooms whenever one
    leaves, so that a disconnect costs more the more clients there are.
    """

    def __init__(self) -> None:
        super().__init__()
        self.rooms: dict[str, dict[str, str]] = {}  # namespace -> sid -> engine's sid; `emit` looks at its keys
        self._sids: dict[str, dict[str, str]] = {}  # namespace -> engine's sid -> sid
        self._on_the_way: set[str] = set()

    def get_namespaces(self) -> Iterable[str]:
        """See python-socketio."""
        return tuple(self.rooms)

    def get_participants(self, namespace: str, room: str | None) -> Iterator[tuple[str, str]]:
        """See python-socketio; a room is everybody or one socket."""
        members = self.rooms.get(namespace, {})
        if room is None:
            yield from tuple(members.items())
        elif room in members:
            yield room, members[room]

    async def pre_connect(self, eio_sid: str, namespace: str) -> str | None:
        """See python-socketio: None if the connection is in the namespace already."""
        sids = self._sids.setdefault(namespace, {})
        if eio_sid in sids:
            return None
        sid = new_sid()
        sids[eio_sid] = sid
        self.rooms.setdefault(namespace, {})[sid] = eio_sid
        self._on_the_way.add(sid)
        return sid

    async def connect(self, sid: str, namespace: str) -> str:
        """See python-socketio."""
        del namespace
        self._on_the_way.discard(sid)
        return sid

    def is_connected(self, sid: str, namespace: str) -> bool:
        """See python-socketio: neither while it connects nor while it leaves."""
        return sid not in self._on_the_way and sid in self.rooms.get(namespace, {})

    def sid_from_eio_sid(self, eio_sid: str, namespace: str) -> str | None:
        """See python-socketio."""
        return self._sids.get(namespace, {}).get(eio_sid)

    def eio_sid_from_sid(self, sid: str, namespace: str) -> str | None:
        """See python-socketio."""
        return self.rooms.get(namespace, {}).get(sid)

    def pre_disconnect(self, sid: str, namespace: str) -> str | None:
        """See python-socketio."""
        self._on_the_way.add(sid)
        return self.eio_sid_from_sid(sid, namespace)

    async def disconnect(self, sid: str, namespace: str, **_options: object) -> None:
        """See python-socketio."""
        eio_sid = self.rooms.get(namespace, {}).pop(sid, None)
        if eio_sid is not None:
            del self._sids[namespace][eio_sid]
        self._on_the_way.discard(sid)
        self.callbacks.pop(sid, None)

"""`Namespaces` and the stock manager of python-socketio, side by side on the same script."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import socketio
from hypothesis import given
from hypothesis import strategies as st

from service.transport.engine.server import new_sid
from service.transport.namespaces import Namespaces

ENGINE_SIDS = ("eio-a", "eio-b", "eio-c")
NAMESPACES = ("/", "/custom")


class Engine:
    """An engine that notes what it is to send."""

    async_mode = "sanic"

    def __init__(self) -> None:
        self.sent: list[tuple[str, object]] = []

    def on(self, _event: str, _handler: object) -> None:
        """What the library asks for at its start."""

    def generate_id(self) -> str:
        return new_sid()

    async def send(self, eio_sid: str, data: object) -> None:
        self.sent.append((eio_sid, data))

    async def send_packet(self, eio_sid: str, packet: Any) -> None:
        self.sent.append((eio_sid, packet.data))


class Library(socketio.AsyncServer):  # type: ignore[misc] # python-socketio has no types
    """The library's server on an engine that notes."""

    def _engineio_server_class(self) -> Callable[..., Engine]:
        return lambda **_options: Engine()


class Side:
    """One manager in its server. Its sockets are named by connection and namespace, since their ids are chance."""

    def __init__(self, manager: socketio.AsyncManager) -> None:
        self.manager = manager
        self.server = Library(client_manager=manager, namespaces=list(NAMESPACES))
        self.sids: dict[tuple[str, str], str] = {}
        self.called_back: list[object] = []

    def sid(self, member: tuple[str, str]) -> str:
        return self.sids.get(member, "no-such-sid")

    def name(self, sid: str | None) -> tuple[str, str] | None:
        return next((member for member, known in self.sids.items() if known == sid), None)

    def sent(self) -> list[tuple[str, object]]:
        sent, self.server.eio.sent = self.server.eio.sent, []
        return list(sent)

    def state(self) -> list[object]:
        """All that the library asks a manager about these connections."""
        manager, answers = self.manager, list[object]()
        for eio_sid, namespace in itertools.product(ENGINE_SIDS, (*NAMESPACES, "/unknown")):
            sid = self.sid((eio_sid, namespace))
            found = manager.sid_from_eio_sid(eio_sid, namespace)
            answers += [
                self.name(found),
                manager.is_connected(sid, namespace),
                manager.is_connected(found, namespace),
                manager.eio_sid_from_sid(sid, namespace),
                list(manager.get_participants(namespace, sid)) == [(sid, eio_sid)],
            ]
        for namespace in (*NAMESPACES, "/unknown"):
            everybody = manager.get_participants(namespace, None)
            answers.append([(self.name(sid), eio_sid) for sid, eio_sid in everybody])
        return answers

    async def connect(self, member: tuple[str, str]) -> object:
        eio_sid, namespace = member
        sid = await self.manager.pre_connect(eio_sid, namespace)
        if sid is None:
            return None
        self.sids[member] = sid
        return "on the way"

    async def confirm(self, member: tuple[str, str]) -> object:
        return self.name(await self.manager.connect(self.sid(member), member[1]))

    async def begin_to_leave(self, member: tuple[str, str]) -> object:
        return self.manager.pre_disconnect(self.sid(member), namespace=member[1])

    async def leave(self, member: tuple[str, str]) -> object:
        return await self.manager.disconnect(self.sid(member), member[1], ignore_queue=True)

    async def emit(self, member: tuple[str, str], **options: object) -> object:
        await self.manager.emit("event", {"a": [1]}, member[1], **options)
        return self.sent()

    async def ask(self, member: tuple[str, str]) -> object:
        """Emit to one and let it acknowledge, twice."""
        sid = self.sid(member)
        self.called_back.clear()
        await self.manager.emit(
            "event", None, member[1], room=sid, callback=lambda *said: self.called_back.append(said)
        )
        sent = self.sent()
        for _ in range(2):
            await self.manager.trigger_callback(sid, 1, ["yes", 1])
        return sent, list(self.called_back)


Step = tuple[str, tuple[str, str]]
members = st.tuples(st.sampled_from(ENGINE_SIDS), st.sampled_from(NAMESPACES))
ways = st.sampled_from(["on", "on", "on", "off", "again", "to all", "to one", "to the others", "bytes"])


async def take(side: Side, life: str, way: str, member: tuple[str, str]) -> tuple[str, object]:
    """What the library may do next with a socket at this point of its life; gives the point after it."""
    if way == "again":
        return life, await side.connect(member) if life != "absent" else None
    if way == "to all":
        return life, await side.emit(member)
    if way == "to one":
        return life, await side.emit(member, to=side.sid(member))
    if way == "to the others":
        return life, await side.emit(member, skip_sid=side.sid(member))
    if way == "bytes":
        await side.manager.emit("event", (b"\x01", 2), member[1])
        return life, side.sent()
    return await live(side, life, way, member)


async def live(side: Side, life: str, way: str, member: tuple[str, str]) -> tuple[str, object]:
    if life == "absent":
        return "on the way", await side.connect(member)
    if life == "on the way" and way == "on":
        return "there", await side.confirm(member)
    if life == "there" and way == "on":
        return "leaving", await side.begin_to_leave(member)
    return "absent", await side.leave(member)


@given(st.lists(st.tuples(ways, members), max_size=30))
async def test_whatever_happens_the_stock_manager_would_have_said_the_same(script: list[Step]) -> None:
    ours, stock = Side(Namespaces()), Side(socketio.AsyncManager())
    lives: dict[tuple[str, str], str] = {}
    for way, member in script:
        life = lives.get(member, "absent")
        after, said = await take(ours, life, way, member)
        assert (after, said) == await take(stock, life, way, member)
        lives[member] = after
        assert ours.state() == stock.state()


@pytest.mark.parametrize("manager", [Namespaces, socketio.AsyncManager])
async def test_an_acknowledgement_is_called_back_once(manager: type[socketio.AsyncManager]) -> None:
    side, member = Side(manager()), ("eio-a", "/")
    await side.connect(member)
    await side.confirm(member)
    assert await side.ask(member) == ([("eio-a", '21["event"]')], [("yes", 1)])
    await side.manager.trigger_callback("no-such-sid", 1, [])
    await side.leave(member)
    await side.manager.trigger_callback(side.sid(member), 1, [])
    assert side.called_back == [("yes", 1)]


@pytest.mark.parametrize("manager", [Namespaces, socketio.AsyncManager])
async def test_leaving_twice_is_leaving_once(manager: type[socketio.AsyncManager]) -> None:
    side, member, other = Side(manager()), ("eio-a", "/"), ("eio-b", "/")
    for connecting in (member, other):
        await side.connect(connecting)
        await side.confirm(connecting)
    for _ in range(2):
        await side.leave(member)
        assert not side.manager.is_connected(side.sid(member), "/")
        assert side.manager.is_connected(side.sid(other), "/")
    assert await side.connect(member) == "on the way"


async def test_who_leaves_leaves_nothing_behind() -> None:
    side = Side(Namespaces())
    members = [(f"eio-{number}", namespace) for number in range(100) for namespace in NAMESPACES]
    for member in members:
        await side.connect(member)
        await side.confirm(member)
        await side.ask(member)
        await side.begin_to_leave(member)
        await side.leave(member)
    left = [value for value in vars(side.manager).values() if isinstance(value, dict | set | list)]
    held = [item for value in left for item in (value.values() if isinstance(value, dict) else value)]
    assert held
    assert not any(held)


async def test_namespaces_may_be_left_while_they_are_gone_through() -> None:
    side = Side(Namespaces())
    for namespace in NAMESPACES:
        await side.connect(("eio-a", namespace))
    for namespace in side.manager.get_namespaces():
        await side.leave(("eio-a", namespace))
    assert side.manager.sid_from_eio_sid("eio-a", "/") is None

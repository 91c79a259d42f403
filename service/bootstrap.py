"""The composition root: the only module that names concrete classes and puts them together."""

import asyncio
import gc
import secrets
import socket
import time
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import urlsplit

from observability.telemetry import Telemetry, TelemetryOptions
from service.adapters.http_authoriser.authoriser import HttpAuthoriser, Rules
from service.adapters.jwt.authenticator import Claims, JwtAuthenticator
from service.adapters.jwt.keys import RemoteKeys
from service.adapters.memory.authenticator import OpenAuthenticator
from service.adapters.memory.clock import LoopClock
from service.adapters.memory.directory import MemoryDirectory
from service.adapters.memory.router import MemoryRouter
from service.adapters.memory.timers import MemoryTimers
from service.adapters.redis.address import RedisUrlError
from service.adapters.redis.cluster import Cluster, RedisOptions
from service.config import Settings
from service.control.control import CallControl
from service.control.presence import PresenceControl
from service.control.session import Session
from service.domain.call import Policy
from service.domain.ice import IceGrant, IceServers
from service.domain.ids import CallId, SessionId, UserId
from service.loading import ConfigError
from service.ports import Authenticator, Authoriser, Clock, Directory, Identity, Observer, RedisWatch, Router, Timers
from service.supervisor import Supervisor
from service.transport.admin import ADMIN_IDLE_S, Admin, serve_admin
from service.transport.admission import AdmissionLimits
from service.transport.app import Health, Transport, TransportOptions, create_app
from service.transport.drain import Drain
from service.transport.engine.connection import EngineOptions
from service.transport.engine.session import Heartbeat
from service.transport.gateway import EventLimits, Gateway
from service.transport.server import listen, serve
from service.transport.tls import CertificateError, ReloadingContext
from service.values import rate_of, split

GC_THRESHOLDS = (20_000, 20, 100)
"""When the collector looks for cycles (`gc.set_threshold`). There are next to none, and looking for them as often as
Python does by default took a quarter of the CPU of an observed call."""


class Node(NamedTuple):
    """One node, composed and not yet listening."""

    transport: Transport
    directory: Directory
    presence: PresenceControl
    control: CallControl
    gateway: Gateway
    health: Health
    supervisor: Supervisor
    drain: Drain
    cluster: Cluster | None = None


def new_call_id() -> CallId:
    """128 random bits as 32 hexadecimal digits; the id of the call's trace too."""
    return CallId(secrets.token_hex(16))


class _Adapters(NamedTuple):
    """What call control stands on, and how it is told of what happens."""

    directory: Directory
    router: Router
    timers: Timers
    attach: Callable[[Gateway, CallControl], None]
    cluster: Cluster | None


def compose(settings: Settings, clock: Clock, observer: Observer, watch: RedisWatch | None = None) -> Node:
    """Put a node together: alone with everything in memory, or with others where `REDIS_URL` is set.

    Raises:
        ConfigError: the URL of Redis cannot be used.
    """
    supervisor = Supervisor()
    adapters = _shared(settings, clock, supervisor, watch) if settings.redis_url else _embedded(clock, supervisor)
    presence, control = _control(settings, clock, observer, adapters, supervisor)
    gateway = Gateway(
        control=control,
        authenticator=_authenticator(settings, clock, observer),
        observer=observer,
        supervisor=supervisor,
        clock=clock,
        event_backlog=settings.event_backlog,
        limits=_event_limits(settings),
    )
    adapters.attach(gateway, control)
    adapters.directory.attach(presence.changed)
    cluster = adapters.cluster
    health = Health() if cluster is None else ClusterHealth(cluster)
    transport = create_app(gateway, supervisor, health, _transport_options(settings))
    drain = Drain(
        transport=transport,
        gateway=gateway,
        control=control,
        health=health,
        clock=clock,
        calls_move=cluster is not None and settings.reconnect_grace_s > 0,
        shutdown_timeout_s=settings.shutdown_timeout_s,
    )
    return Node(transport, adapters.directory, presence, control, gateway, health, supervisor, drain, cluster)


def _control(
    settings: Settings, clock: Clock, observer: Observer, adapters: _Adapters, supervisor: Supervisor
) -> tuple[PresenceControl, CallControl]:
    authoriser = _authoriser(settings, clock, observer)
    presence = PresenceControl(
        directory=adapters.directory,
        router=adapters.router,
        clock=clock,
        spawn=supervisor.spawn,
        observer=observer,
        authoriser=authoriser,
        hide_presence=settings.hide_presence,
        max_watched=settings.max_watched,
        lookups=rate_of(settings.limit_lookups),
    )
    control = CallControl(
        directory=adapters.directory,
        router=adapters.router,
        timers=adapters.timers,
        clock=clock,
        observer=observer,
        new_call_id=new_call_id,
        policy=Policy(ring_timeout_s=settings.ring_timeout_s, reconnect_grace_s=settings.reconnect_grace_s),
        presence=presence,
        authoriser=authoriser,
        hide_presence=settings.hide_presence,
        ice=_ice(settings),
        rings=rate_of(settings.limit_call_initiate),
    )
    return presence, control


def _event_limits(settings: Settings) -> EventLimits:
    return EventLimits(
        events=rate_of(settings.limit_events),
        events_per_address=rate_of(settings.limit_events_per_address),
        expiry_grace_s=settings.auth_expiry_grace_s,
    )


def _embedded(clock: Clock, supervisor: Supervisor) -> _Adapters:
    router = MemoryRouter()
    timers = MemoryTimers(clock, supervisor.spawn)

    def attach(gateway: Gateway, control: CallControl) -> None:
        router.attach(gateway)
        timers.attach(control.wake)

    return _Adapters(MemoryDirectory(), router, timers, attach, None)


def _shared(settings: Settings, clock: Clock, supervisor: Supervisor, watch: RedisWatch | None) -> _Adapters:
    options = RedisOptions(
        url=settings.redis_url,
        node=settings.node_id,
        prefix=settings.redis_key_prefix,
        lease_s=settings.node_lease_s,
        max_message_bytes=settings.max_message_bytes,
    )
    try:
        cluster = Cluster(options, clock, supervisor.spawn, watch)
    except RedisUrlError as error:
        raise ConfigError(f"REDIS_URL: {error}") from None

    def attach(gateway: Gateway, control: CallControl) -> None:
        async def lost(user: UserId, session_id: SessionId) -> None:
            session = Session(session_id, Identity())
            session.user = user
            await control.left(session, goodbye=False, with_node=True)

        cluster.attach(gateway, on_due=control.wake, on_lost=lost, on_returned=control.settle)

    return _Adapters(cluster.directory, cluster.router, cluster.timers, attach, cluster)


class ClusterHealth(Health):
    """Health of a node that needs the others: not ready while it cannot reach them, and live all the same."""

    __slots__ = ("_cluster", "_serving")

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._serving = False
        super().__init__()

    @property
    def ready(self) -> bool:
        """Whether this node serves, and can reach the others."""
        return self._serving and self._cluster.is_ready

    @ready.setter
    def ready(self, serving: bool) -> None:
        self._serving = serving


def _authenticator(settings: Settings, clock: Clock, observer: Observer) -> Authenticator:
    if not settings.can_authenticate:
        return OpenAuthenticator()
    return JwtAuthenticator(
        secrets=split(settings.auth_jwt_secrets),
        keys=RemoteKeys(settings.auth_jwks_url, clock.now, observer) if settings.auth_jwks_url else None,
        claims=Claims(
            issuer=settings.auth_issuer or None,
            audience=settings.auth_audience or None,
            leeway_s=settings.auth_leeway_s,
            user=settings.auth_user_claim,
        ),
        required=settings.auth_required is not False,
    )


def _authoriser(settings: Settings, clock: Clock, observer: Observer) -> Authoriser:
    if not settings.authorize_url:
        return Authoriser()
    rules = Rules(
        timeout_s=settings.authorize_timeout_s,
        cache_s=settings.authorize_cache_s,
        allow_on_failure=settings.authorize_on_failure == "allow",
    )
    return HttpAuthoriser(
        url=settings.authorize_url,
        secret=settings.authorize_secret,
        rules=rules,
        now=clock.now,
        observer=observer,
    )


def ice_servers(settings: Settings) -> IceServers:
    """The STUN and TURN servers of these settings."""
    return IceServers(
        stun_urls=split(settings.stun_urls),
        turn_urls=split(settings.turn_urls),
        turn_secret=next(iter(split(settings.turn_secret)), ""),
        turn_ttl_s=settings.turn_ttl_s,
    )


def _ice(settings: Settings) -> Callable[[Session, CallId | None], IceGrant]:
    """Who may use which STUN and TURN servers: relays only those whose name is proved, where names can be."""
    servers = ice_servers(settings)

    def grant(session: Session, call_id: CallId | None) -> IceGrant:
        user = session.identity.user if settings.can_authenticate else session.user
        return servers.for_anybody() if user is None else servers.for_user(user, call_id, time.time())

    return grant


def warnings(settings: Settings) -> tuple[str, ...]:
    """What is fine for development and not for production, a line each."""
    found = []
    if not settings.can_authenticate:
        found.append("Anybody may join as anybody: set AUTH_JWT_SECRETS or AUTH_JWKS_URL")
    elif settings.auth_required is False:
        found.append("Whoever sends no token may join as anybody: AUTH_REQUIRED=false")
    if "*" in settings.client_urls:
        found.append("Pages of every site may connect: set CLIENT_URL to the origins of yours")
    if _is_in_the_clear(settings.auth_jwks_url):
        found.append("Whoever can change traffic to the issuer can log in as anybody: AUTH_JWKS_URL without https")
    if _is_in_the_clear(settings.authorize_url):
        found.append("Whoever can change traffic to the backend says who may call: AUTHORIZE_URL without https")
    return tuple(found)


def _is_in_the_clear(url: str) -> bool:
    return url.startswith("http://") and urlsplit(url).hostname not in ("localhost", "127.0.0.1", "::1")


async def run(settings: Settings) -> None:
    """Serve with these settings until told to stop.

    Raises:
        AddressError: the address, or the one for metrics or the admin API, cannot be listened on.
        CertificateError: the certificate cannot be used.
        ConfigError: the URL of Redis cannot be used.
    """
    tls = _tls(settings)
    listener = listen(settings.host, settings.port, settings.ping_interval_s + settings.ping_timeout_s)
    admin_listener = _listen_for_admin(settings)
    clock = LoopClock(asyncio.get_running_loop())
    telemetry = Telemetry(_telemetry_options(settings), clock)
    node = compose(settings, clock, telemetry.observer, telemetry.redis_watch)
    telemetry.watch_node(
        is_ready=lambda: node.health.ready,
        is_draining=lambda: node.health.draining,
        users_online=node.directory.users_online,
        watches=node.presence.watches,
        events_in_progress=lambda: node.gateway.events_in_progress,
        outbound_buffer_bytes=node.transport.engine.most_waiting_bytes,
        background_tasks=lambda: node.supervisor.running,
    )
    admin = None
    if admin_listener is not None:
        admin = await serve_admin(_admin(node, telemetry, settings, clock), admin_listener)
    _announce(settings)
    if node.cluster is not None:
        node.cluster.start()
    gc.freeze()  # what is here now stays
    gc.set_threshold(*GC_THRESHOLDS)
    await serve(
        node.transport,
        listener,
        tls=tls,
        health=node.health,
        drain=node.drain,
        shutdown_timeout_s=settings.shutdown_timeout_s,
    )
    if admin is not None:
        admin.close()
    if node.cluster is not None:
        await node.cluster.stop()
    await node.supervisor.close()
    telemetry.close()


def _listen_for_admin(settings: Settings) -> socket.socket | None:
    if not settings.has_admin:
        return None
    return listen(settings.admin_host, settings.admin_port, ADMIN_IDLE_S, "ADMIN_PORT and ADMIN_HOST")


def _admin(node: Node, telemetry: Telemetry, settings: Settings, clock: Clock) -> Admin:
    cluster = node.cluster
    telemetry.node = None if cluster is None else cluster.membership.node
    return Admin(
        token=settings.admin_token,
        node=telemetry.node,
        control=node.control,
        directory=node.directory,
        gateway=node.gateway,
        health=node.health,
        drain=node.drain,
        clock=clock,
        can_reach_others=None if cluster is None else lambda: cluster.is_ready,
        explain=telemetry.explain,
    )


def _tls(settings: Settings) -> ReloadingContext | None:
    if settings.tls_cert_file is None and settings.tls_key_file is None:
        return None
    if settings.tls_cert_file is None or settings.tls_key_file is None:
        raise CertificateError("one of them is not set")
    return ReloadingContext(settings.tls_cert_file, settings.tls_key_file)


def _transport_options(settings: Settings) -> TransportOptions:
    return TransportOptions(
        client_urls=settings.client_urls,
        engine=EngineOptions(
            heartbeat=Heartbeat(settings.ping_interval_s, settings.ping_timeout_s),
            max_message_bytes=settings.max_message_bytes,
            max_outgoing_bytes=settings.max_outgoing_bytes,
            max_packets_per_payload=settings.max_packets_per_payload,
            upgrade_timeout_s=settings.upgrade_timeout_s,
        ),
        admission=AdmissionLimits(
            connections=settings.max_connections,
            connections_per_address=settings.max_connections_per_address,
            connects=rate_of(settings.limit_connects),
        ),
        trusted_proxies=settings.trusted_proxies,
        join_timeout_s=settings.join_timeout_s,
        demo_page=settings.demo_page,
    )


def _telemetry_options(settings: Settings) -> TelemetryOptions:
    return TelemetryOptions(
        metrics_host=settings.metrics_host,
        metrics_port=settings.metrics_port,
        trace_ratio=settings.trace_ratio,
        otlp_endpoint=settings.otel_exporter_otlp_endpoint or None,
        log_level=settings.log_level,
        shared=bool(settings.redis_url),
        call_records=settings.call_records,
        keeps_ended=settings.has_admin,
    )


def _announce(settings: Settings) -> None:
    host = "localhost" if settings.host in ("0.0.0.0", "::") else settings.host  # noqa: S104 - a comparison
    site = f"{'https' if settings.tls_cert_file else 'http'}://{host}:{settings.port}"
    lines = [f"Signalling on  {site}/socket.io/"]
    if settings.metrics_port:
        lines.append(f"Metrics on     http://{settings.metrics_host}:{settings.metrics_port}/metrics")
    if settings.has_admin:
        lines.append(f"Admin API on   http://{settings.admin_host}:{settings.admin_port}/admin/status")
    if settings.demo_page:
        lines.append(f"Demo page:     {site}/  (open it in two tabs)")
    lines += [f"Warning:       {warning}" for warning in warnings(settings)]
    print("\n".join(lines), flush=True)  # noqa: T201 - for the person who started it

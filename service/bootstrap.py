"""The composition root: the only module that names concrete classes and puts them together."""

import asyncio
import secrets
from typing import NamedTuple

from observability.telemetry import Telemetry, TelemetryOptions
from service.adapters.memory.authenticator import OpenAuthenticator
from service.adapters.memory.clock import LoopClock
from service.adapters.memory.directory import MemoryDirectory
from service.adapters.memory.router import MemoryRouter
from service.adapters.memory.timers import MemoryTimers
from service.config import Settings
from service.control.control import CallControl
from service.domain.call import Policy
from service.domain.ids import CallId
from service.ports import Clock, Directory, Observer
from service.supervisor import Supervisor
from service.transport.admission import AdmissionLimits
from service.transport.app import Health, Transport, TransportOptions, create_app
from service.transport.engine.connection import EngineOptions
from service.transport.engine.session import Heartbeat
from service.transport.gateway import Gateway
from service.transport.server import listen, serve
from service.transport.tls import ReloadingContext


class Node(NamedTuple):
    """One node, composed and not yet listening."""

    transport: Transport
    directory: Directory
    control: CallControl
    gateway: Gateway
    health: Health
    supervisor: Supervisor


def new_call_id() -> CallId:
    """128 random bits as 32 hexadecimal digits; the id of the call's trace too."""
    return CallId(secrets.token_hex(16))


def compose(settings: Settings, clock: Clock, observer: Observer) -> Node:
    """Put a single node together: the in-memory directory, router and timers."""
    supervisor = Supervisor()
    directory = MemoryDirectory()
    router = MemoryRouter()
    timers = MemoryTimers(clock, supervisor.spawn)
    control = CallControl(
        directory=directory,
        router=router,
        timers=timers,
        clock=clock,
        observer=observer,
        new_call_id=new_call_id,
        policy=Policy(ring_timeout_s=settings.ring_timeout_s, reconnect_grace_s=settings.reconnect_grace_s),
    )
    gateway = Gateway(
        control=control,
        authenticator=OpenAuthenticator(),
        observer=observer,
        supervisor=supervisor,
        clock=clock,
        event_backlog=settings.event_backlog,
    )
    router.attach(gateway)
    timers.attach(control.wake)
    health = Health()
    transport = create_app(gateway, supervisor, health, _transport_options(settings))
    return Node(transport, directory, control, gateway, health, supervisor)


async def run(settings: Settings) -> None:
    """Serve with these settings until told to stop.

    Raises:
        AddressError: the address, or the one for metrics, cannot be listened on.
        CertificateError: the certificate cannot be used.
    """
    tls = _tls(settings)
    listener = listen(settings.host, settings.port, settings.ping_interval_s + settings.ping_timeout_s)
    clock = LoopClock(asyncio.get_running_loop())
    telemetry = Telemetry(_telemetry_options(settings), clock)
    node = compose(settings, clock, telemetry.observer)
    telemetry.watch_node(
        is_ready=lambda: node.health.ready,
        is_draining=lambda: node.health.draining,
        users_online=node.directory.users_online,
        events_in_progress=lambda: node.gateway.events_in_progress,
    )
    _announce(settings)
    await serve(
        node.transport,
        listener,
        tls=tls,
        gateway=node.gateway,
        health=node.health,
        end_calls=node.control.shut_down,
        shutdown_timeout_s=settings.shutdown_timeout_s,
    )
    await node.supervisor.close()
    telemetry.close()


def _tls(settings: Settings) -> ReloadingContext | None:
    if settings.tls_cert_file is None or settings.tls_key_file is None:
        return None
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
            connects=settings.limit_connects,
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
    )


def _announce(settings: Settings) -> None:
    host = "localhost" if settings.host in ("0.0.0.0", "::") else settings.host  # noqa: S104 - a comparison
    site = f"{'https' if settings.tls_cert_file else 'http'}://{host}:{settings.port}"
    lines = [f"Signalling on  {site}/socket.io/"]
    if settings.metrics_port:
        lines.append(f"Metrics on     http://{settings.metrics_host}:{settings.metrics_port}/metrics")
    if settings.demo_page:
        lines.append(f"Demo page:     {site}/  (open it in two tabs)")
    print("\n".join(lines), flush=True)  # noqa: T201 - for the person who started it

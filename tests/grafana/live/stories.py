"""Faults as they really happen: what is done, what must be told, and what ends it."""

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import socketio

from grafana.alert_rules import FEWEST_CONNECTIONS
from grafana.alert_types import FRONT_JOB, JOB
from grafana.build import GENERATED
from tests.front.support import RIGHT, Site, running_site
from tests.grafana import shorter
from tests.grafana.live.webhook import Webhook
from tests.grafana.processes import Jobs, Prometheus, until
from tests.support.redis import RedisServer, running_redis
from tests.support.server import running_server
from tests.synthetic.support import started

CROWD = 4 * FEWEST_CONNECTIONS
"""So many that the last half hour's average stays high enough while the alert makes its way."""
HISTORY = "count_over_time(signalling:connections:sum[30m] offset 5m) >= 8"
FRONT_FIRES = 'ALERTS{alertname="FrontNodeDown",alertstate="firing"} == 1'
PAUSE_S = 0.05
QUICK = {"NODE_LEASE_S": "1", "SHUTDOWN_TIMEOUT_S": "3"}
FAULTY = ("-m", "tests.grafana.live.faulty_server")


class Stand(NamedTuple):
    """One installation and its Prometheus. `name` is its environment, by which the shared Alertmanager knows it."""

    name: str
    folder: Path
    prometheus: Prometheus
    webhook: Webhook

    def watch(self, *urls: str, **others: str) -> None:
        """Scrape these nodes, and other jobs, then load the rules; returns when the way of alerts works."""
        jobs: Jobs = {JOB: urls, **others}
        self.prometheus.watch(jobs)
        shorter.write_rules(GENERATED / "prometheus", self.prometheus.rules)
        self.prometheus.watch(jobs)
        until(lambda: self.webhook.told(self.name), f"{self.name}: the watchdog is heard")
        assert self.webhook.last(self.name) == {}

    def hears(self, status: str, alerts: tuple[str, ...]) -> None:
        """Wait until this is the last that was told of these alerts."""

        def heard() -> bool:
            last = self.webhook.last(self.name)
            return all(last.get(alert) == status for alert in alerts)

        until(heard, f"{self.name}: {status}: {alerts}")


class Story(NamedTuple):
    """A fault, the alerts that are named for it, and what else rightly follows from it: the alert, and why."""

    play: Callable[[Stand], None]
    alerts: tuple[str, ...]
    follows: Mapping[str, str] = {}


def _stopped(stand: Stand) -> None:
    with running_server(stand.folder) as server:
        stand.watch(server.metrics_url)
        server.stop(signal.SIGKILL)
        stand.hears("firing", STOPPED.alerts)
        ports = {"PORT": str(server.port), "METRICS_PORT": server.metrics_url.split(":")[2].split("/")[0]}
        with running_server(stand.folder, **ports):
            stand.hears("resolved", STOPPED.alerts)


def _blocked(stand: Stand) -> None:
    with running_server(stand.folder, (*FAULTY, "blocked")) as server:
        stand.watch(server.metrics_url)
        server.process.send_signal(signal.SIGUSR1)
        try:
            stand.hears("firing", BLOCKED.alerts)
        finally:
            server.process.send_signal(signal.SIGUSR2)
        stand.hears("resolved", BLOCKED.alerts)


def _collapsed(stand: Stand) -> None:
    history = shorter.expression(HISTORY)
    connected = f"sum(signalling_connections) >= {CROWD}"
    with running_server(stand.folder) as server:
        crowd = ("simulate", "--url", server.url, "--users", str(CROWD), "--rate", "0.001", "--duration", "0")
        with started(*crowd, "--transport", "websocket") as clients:
            stand.prometheus.watch({JOB: server.metrics_url})
            until(lambda: stand.prometheus.ask(connected), "everybody is connected")
            stand.watch(server.metrics_url)
            until(lambda: stand.prometheus.ask(history), "many connections are usual")
            clients.kill()
            stand.hears("firing", COLLAPSED.alerts)
        with started(*crowd, "--transport", "websocket"):
            stand.hears("resolved", COLLAPSED.alerts)


def _failing(stand: Stand) -> None:
    with running_server(stand.folder, (*FAULTY, "failing")) as server:
        with _traffic(server.url):
            stand.watch(server.metrics_url)
            server.process.send_signal(signal.SIGUSR1)
            stand.hears("firing", FAILING.alerts)
        with running_server(stand.folder) as rolled_back, _traffic(rolled_back.url):
            stand.prometheus.watch({JOB: rolled_back.metrics_url})
            stand.hears("resolved", FAILING.alerts)
            stand.hears("firing", tuple(FAILING.follows))


@contextmanager
def _traffic(url: str) -> Iterator[None]:
    """A client that asks for somebody's status again and again."""
    stop = threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(_ask(url, stop)))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


async def _ask(url: str, stop: threading.Event) -> None:
    client = socketio.AsyncClient()
    await client.connect(url, transports=["websocket"])
    await client.call("user:join", {"userId": "anna"})
    while not stop.is_set():
        await client.call("user:status", {"userId": "otto"})
        await asyncio.sleep(PAUSE_S)  # the rate of the questions
    await client.disconnect()


def _without_redis(stand: Stand) -> None:
    with running_redis(stand.folder) as redis, _two_nodes(stand, redis):
        redis.kill()
        stand.hears("firing", WITHOUT_REDIS.alerts)
        redis.start()
        stand.hears("resolved", WITHOUT_REDIS.alerts)


def _died(stand: Stand) -> None:
    with running_redis(stand.folder) as redis, _two_nodes(stand, redis) as site:
        site.right.stop(signal.SIGKILL)
        stand.hears("firing", DIED.alerts)
        until(lambda: stand.prometheus.ask(FRONT_FIRES), "the proxy says so too, of which nobody need be told")
        site.front.process.terminate()
        until(lambda: not stand.prometheus.ask(FRONT_FIRES), "nor need anybody when it says so no longer")
        ports = {"PORT": str(site.right.port), "METRICS_PORT": site.right.metrics_url.split(":")[2].split("/")[0]}
        with running_server(stand.folder, HOST=RIGHT, REDIS_URL=redis.url, **QUICK, **ports):
            stand.hears("resolved", DIED.alerts)


@contextmanager
def _two_nodes(stand: Stand, redis: RedisServer) -> Iterator[Site]:
    """Two nodes that share their users, and the proxy in front of them, all watched."""
    with running_site(stand.folder, REDIS_URL=redis.url, **QUICK) as site:
        together = "min(signalling_cluster_nodes) == 2"
        stand.prometheus.watch({JOB: (site.left.metrics_url, site.right.metrics_url)})
        until(lambda: stand.prometheus.ask(together), "both nodes are together")
        stand.watch(site.left.metrics_url, site.right.metrics_url, **{FRONT_JOB: site.front.metrics_url})
        yield site


STOPPED = Story(_stopped, ("SignallingDown scope=all",))
BLOCKED = Story(_blocked, ("EventLoopStalled symptom=blocked",))
COLLAPSED = Story(_collapsed, ("ConnectionsCollapsed",))
FAILING = Story(
    _failing,
    (
        "NewExceptions error_type=BrokenDirectoryError event=user:status",
        "ErrorBudgetBurnFast slo=handler_availability window=1h",
        "ErrorBudgetBurnFast slo=handler_availability window=6h",
    ),
    {
        "ErrorBudgetBurnSlow slo=handler_availability window=1d": "The page is over, but what it was about has cost "
        "more than this day's share of the month's budget: the ticket stays.",
        "ErrorBudgetBurnSlow slo=handler_availability window=3d": "As the one over a day.",
    },
)
WITHOUT_REDIS = Story(_without_redis, ("RedisDown scope=all",))
DIED = Story(_died, ("SignallingDown scope=node",))
STORIES = {
    "stopped": STOPPED,
    "blocked": BLOCKED,
    "collapsed": COLLAPSED,
    "failing": FAILING,
    "without redis": WITHOUT_REDIS,
    "died": DIED,
}

"""Who is told: Alertmanager's routes, receivers and inhibitions.

The receivers are webhooks whose addresses come from the environment when the file is made:
`SIGNALLING_PAGE_URL`, `SIGNALLING_TICKET_URL`, `SIGNALLING_WATCHDOG_URL`. The defaults lead nowhere, on purpose.
"""

import os
from collections.abc import Mapping
from typing import NamedTuple

from grafana.alert_types import NONE, PAGE, TICKET
from grafana.slo_alerts import FAST, SLOW
from grafana.yamltext import Commented, document

ENVIRONMENT = "environment"
"""The external label that tells installations apart. Where nobody sets it, it is equal everywhere."""
JOB = "job"
SAME_NODES = (ENVIRONMENT, JOB)
"""The job alone would not do: it has the same name in every installation."""


class Receiver(NamedTuple):
    """Where a kind of alert goes, and the variable that says so."""

    name: str
    variable: str
    default: str


PAGE_RECEIVER = Receiver(PAGE, "SIGNALLING_PAGE_URL", "http://alert-receiver.invalid/page")
TICKET_RECEIVER = Receiver(TICKET, "SIGNALLING_TICKET_URL", "http://alert-receiver.invalid/ticket")
WATCHDOG_RECEIVER = Receiver("watchdog", "SIGNALLING_WATCHDOG_URL", "http://alert-receiver.invalid/watchdog")
RECEIVERS = (PAGE_RECEIVER, TICKET_RECEIVER, WATCHDOG_RECEIVER)


class Inhibition(NamedTuple):
    """While an alert that matches `source` fires, those that match `target` stay quiet, if `equal` labels agree."""

    why: str
    source: tuple[str, ...]
    target: tuple[str, ...]
    equal: tuple[str, ...]


def _is(*names: str) -> str:
    return f'alertname="{names[0]}"' if len(names) == 1 else f'alertname=~"{"|".join(names)}"'


ALL_DOWN = (_is("SignallingDown"), 'scope="all"')
BLOCKED = (_is("EventLoopStalled"), 'symptom="blocked"')
NO_REDIS = (_is("RedisDown"), 'scope="all"')
INHIBITIONS = (
    Inhibition(
        "Without a node nothing else can work.", ALL_DOWN, (_is("NoCalls", "ConnectionsCollapsed", FAST),), SAME_NODES
    ),
    Inhibition("The probe has a job of its own.", ALL_DOWN, (_is("ProbeFailing"),), (ENVIRONMENT,)),
    Inhibition("A blocked node answers no probe.", BLOCKED, (_is("ProbeFailing"),), (ENVIRONMENT,)),
    Inhibition(
        "Without Redis nodes hear nothing of each other, and nobody joins.",
        NO_REDIS,
        (_is("InboxLag", "MessagesLost", "ClusterSplit", "NoCalls"),),
        SAME_NODES,
    ),
    Inhibition("The probe has a job of its own, and cannot join.", NO_REDIS, (_is("ProbeFailing"),), (ENVIRONMENT,)),
    Inhibition(
        "The proxy has a job of its own, and sees the same.",
        (_is("SignallingDown", "EventLoopStalled"),),
        (_is("FrontNodeDown"),),
        (ENVIRONMENT,),
    ),
    Inhibition(
        "A blocked node makes calls slow, then impossible.",
        (_is("EventLoopStalled"),),
        (_is("RingDeliverySlow", "SetupSlow", "NoCalls"),),
        SAME_NODES,
    ),
    Inhibition(
        "Who is not connected does not call, and comes back all at once.",
        (_is("ConnectionsCollapsed"),),
        (_is("NoCalls", "ReconnectStorm"),),
        SAME_NODES,
    ),
    Inhibition("The page is about the same budget.", (_is(FAST),), (_is(SLOW),), (*SAME_NODES, "slo")),
    Inhibition(
        "The page is about the same delay.",
        (_is(FAST), 'slo="ring_delivery"'),
        (_is("RingDeliverySlow"),),
        SAME_NODES,
    ),
    Inhibition("The page is about the same delay.", (_is(FAST), 'slo="call_setup"'), (_is("SetupSlow"),), SAME_NODES),
)


def _route() -> dict[str, object]:
    return {
        "receiver": TICKET_RECEIVER.name,
        "group_by": ["alertname", ENVIRONMENT, JOB, "slo"],
        "group_wait": "30s",
        "group_interval": "5m",
        "repeat_interval": "1d",
        "routes": [
            Commented(
                "The receiver is a dead man's switch: it alarms when this stops coming.",
                {
                    "matchers": [_is("Watchdog")],
                    "receiver": WATCHDOG_RECEIVER.name,
                    "group_wait": "0s",
                    "group_interval": "1m",
                    "repeat_interval": "1m",
                },
            ),
            {
                "matchers": [f'severity="{PAGE}"'],
                "receiver": PAGE_RECEIVER.name,
                "group_wait": "10s",
                "group_interval": "1m",
                "repeat_interval": "1h",
            },
            {"matchers": [f'severity="{TICKET}"'], "receiver": TICKET_RECEIVER.name},
            Commented(
                "Whatever else informs and asks for nothing.",
                {"matchers": [f'severity="{NONE}"'], "receiver": "nobody"},
            ),
        ],
    }


def _receiver(receiver: Receiver, environment: Mapping[str, str]) -> Commented:
    url = environment.get(receiver.variable) or receiver.default
    resolved = receiver is not WATCHDOG_RECEIVER
    return Commented(
        f"{receiver.variable} when this file is made.",
        {"name": receiver.name, "webhook_configs": [{"url": url, "send_resolved": resolved}]},
    )


def _inhibition(inhibition: Inhibition) -> Commented:
    return Commented(
        inhibition.why,
        {
            "source_matchers": list(inhibition.source),
            "target_matchers": list(inhibition.target),
            "equal": list(inhibition.equal),
        },
    )


def file(environment: Mapping[str, str] = os.environ) -> str:
    """Alertmanager's configuration."""
    return document(
        {
            "route": _route(),
            "receivers": [*(_receiver(receiver, environment) for receiver in RECEIVERS), {"name": "nobody"}],
            "inhibit_rules": [_inhibition(inhibition) for inhibition in INHIBITIONS],
        }
    )

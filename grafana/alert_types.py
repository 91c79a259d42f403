"""What an alert is."""

from typing import NamedTuple

JOB = "signalling"
"""The scrape job of the servers. Prometheus' own `up` is known by it, and the process metrics, which everyone has."""
PROBE_JOB = "signalling-probe"
"""The scrape job of the synthetic caller."""
FRONT_JOB = "haproxy"
"""The scrape job of the proxy in front of the nodes."""
PAGE = "page"
TICKET = "ticket"
NONE = "none"


class Alert(NamedTuple):
    """One alerting rule.

    `summary` and `description` are Prometheus templates. `dashboard` is the uid to look at first, `labels` are added
    to those of the expression, `anchor` is the part of the runbook that it means.
    """

    name: str
    severity: str
    expression: str
    for_: str
    summary: str
    description: str
    dashboard: str
    labels: dict[str, str] = {}  # noqa: RUF012 - read only
    anchor: str = ""
    keep_firing_for: str = ""

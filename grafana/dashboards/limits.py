"""Where the panels turn red: at the SLOs' limits."""

from grafana.model import GREEN, ORANGE, RED, YELLOW, Steps, at_most
from grafana.slo import BURNS, RING_DELIVERY_S, SETUP_S, SLOS

__all__ = ["ALLOWED", "BURN_STEPS", "HANDLER_ERRORS", "HANDLER_S", "LAG_STEPS", "RING_DELIVERY_S", "SETUP_S"]

ALLOWED = {slo.name: round(1 - slo.objective, 9) for slo in SLOS}
"""The share of bad events that each SLO allows."""
HANDLER_ERRORS = ALLOWED["handler_availability"]
HANDLER_S = 0.05
"""No SLO: an event that takes longer is worth a look, since most take less than a tenth of it."""
LAG_STEPS = at_most(0.05, 0.25)
_PAGES = sorted(burn.factor for burn in BURNS if burn.severity == "page")
BURN_STEPS = Steps(GREEN, ((1, YELLOW), (_PAGES[0], ORANGE), (_PAGES[-1], RED)))

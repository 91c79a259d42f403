"""The alerts on those whom the server asks: the token issuer and the application's backend."""

from grafana.alert_types import TICKET, Alert
from grafana.query import ANYWHERE, Not, increase
from observability.catalogue import KEY_FETCHES, LEAVES

ERRORS_BOARD = "signalling-errors"
FEWEST_FETCHES = 3
FEWEST_QUESTIONS = 20
FAILED_SHARE = 0.2


def _keys() -> Alert:
    failed = increase(KEY_FETCHES, "job", "instance", window="10m", scope=ANYWHERE, result=Not(("ok",)))
    went_well = increase(KEY_FETCHES, "job", "instance", window="10m", scope=ANYWHERE, result="ok")
    return Alert(
        "AuthBackendFailing",
        TICKET,
        f"{failed} >= {FEWEST_FETCHES}\nunless {went_well} > 0",
        "5m",
        "{{ $labels.instance }} cannot fetch the keys of the token issuer",
        "{{ $value | humanize }} fetches of {{ $labels.instance }} failed in ten minutes and none went well. Keys that "
        "it knows stay in use; tokens of new keys are refused, and a node that starts now lets nobody in. Does the "
        "issuer answer at AUTH_JWKS_URL?",
        ERRORS_BOARD,
        {"asked": "issuer"},
    )


def _leave() -> Alert:
    failed = increase(LEAVES, "job", window="10m", scope=ANYWHERE, result=Not(("allowed", "refused")))
    asked = increase(LEAVES, "job", window="10m", scope=ANYWHERE)
    return Alert(
        "AuthBackendFailing",
        TICKET,
        f"{failed} / ({asked} > 0) > {FAILED_SHARE:g}\nand {asked} >= {FEWEST_QUESTIONS}",
        "5m",
        "The backend does not say who may call whom on {{ $labels.job }}",
        "{{ $value | humanizePercentage }} of the questions of ten minutes had no answer. Such calls are refused, or "
        "let through unasked, as AUTHORIZE_ON_FAILURE says. Does the backend answer at AUTHORIZE_URL, in time?",
        ERRORS_BOARD,
        {"asked": "backend"},
    )


def backend_alerts() -> tuple[Alert, ...]:
    """One on each of the two."""
    return (_keys(), _leave())

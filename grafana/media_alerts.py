"""The alerts on media, of which the server knows only what clients report."""

from grafana.alert_types import TICKET, Alert
from grafana.query import ANYWHERE, increase
from observability.catalogue import ICE_OUTCOMES, ICE_SELECTED_PAIRS

MEDIA_BOARD = "signalling-media"
ICE_FAILURE_SHARE = 0.1
RELAY_SHARE_RISE = 0.15
RELAY_SHARE_USED = 0.05
FEWEST_OUTCOMES = 20
FEWEST_PAIRS, FEWEST_USUAL_PAIRS = 50, 500


def _ice_failures() -> Alert:
    failed = increase(ICE_OUTCOMES, "job", window="15m", scope=ANYWHERE, result="failed")
    both = increase(ICE_OUTCOMES, "job", window="15m", scope=ANYWHERE, result=("connected", "failed"))
    return Alert(
        "IceFailureHigh",
        TICKET,
        f"{failed} / ({both} > 0) > {ICE_FAILURE_SHARE:g}\nand {both} >= {FEWEST_OUTCOMES}",
        "10m",
        "Media does not come about on {{ $labels.job }}",
        "ICE failed for {{ $value | humanizePercentage }} of the parties that reported in the last 15 minutes: they "
        "were connected to this server, and not to each other. See where it fails, and whether the TURN servers "
        "answer.",
        MEDIA_BOARD,
    )


def _share(window: str, offset: str = "") -> tuple[str, str]:
    """The share of pairs with a relay, and how many pairs it is of."""
    relayed = increase(ICE_SELECTED_PAIRS, "job", window=window, offset=offset, scope=ANYWHERE, path="relay")
    every = increase(ICE_SELECTED_PAIRS, "job", window=window, offset=offset, scope=ANYWHERE)
    return f"({relayed} / ({every} > 0))", every


def _relay_share() -> tuple[Alert, ...]:
    now, pairs = _share("1h")
    usual, usual_pairs = _share("1d", "1h")
    enough = f"and {pairs} >= {FEWEST_PAIRS}\nand {usual_pairs} >= {FEWEST_USUAL_PAIRS}"
    return (
        Alert(
            "RelayShareAnomaly",
            TICKET,
            f"{now} > {usual} + {RELAY_SHARE_RISE:g}\n{enough}",
            "15m",
            "Far more media than usual is relayed on {{ $labels.job }}",
            "{{ $value | humanizePercentage }} of the connections of the last hour go over a relay, well above the "
            "day before. Relays cost money and delay. See whether STUN answers and whether a network or a client "
            "release blocks direct ways.",
            MEDIA_BOARD,
            {"symptom": "more_relayed"},
        ),
        Alert(
            "RelayShareAnomaly",
            TICKET,
            f"{now} < 0.2 * {usual}\nand {usual} >= {RELAY_SHARE_USED:g}\n{enough}",
            "15m",
            "Hardly any media is relayed any more on {{ $labels.job }}",
            "{{ $value | humanizePercentage }} of the connections of the last hour go over a relay, less than a fifth "
            "of the day before. Who needs a relay most likely has no media at all. Check the TURN servers.",
            MEDIA_BOARD,
            {"symptom": "hardly_relayed"},
        ),
    )


def media_alerts() -> tuple[Alert, ...]:
    """Both alerts on what clients report."""
    return (_ice_failures(), *_relay_share())

"""Every query parses, and says the right thing of no traffic and of no node, in Prometheus' own engine."""

import subprocess
from pathlib import Path

import pytest
import yaml

from grafana.query import NOW, WINDOW, gauge, quiet, rate, ratio, ratio_by
from observability.catalogue import CALLS, CALLS_ENDED, EVENTS_TOTAL
from tests.grafana.boards import Asked, queries
from tests.support.needs import need_program

UP = 'up{job="s",instance="a"}'
OK = 'signalling_events_total{job="s",instance="a",event="call:end",outcome="ok"}'
INTERNAL = 'signalling_events_total{job="s",instance="a",event="call:end",outcome="internal"}'
EVENT = '{event="call:end"}'
ERRORS = ratio(rate(EVENTS_TOTAL, window=NOW, outcome="internal"), rate(EVENTS_TOTAL, window=NOW))
BY_EVENT = ratio_by(
    rate(EVENTS_TOTAL, "event", window=NOW, outcome="internal"), rate(EVENTS_TOTAL, "event", window=NOW), "event"
)
NODES_THAT_ANSWER = next(asked for asked in queries() if "Nodes that answer" in asked.where).expr
STILL, MOVING, GONE = "5x40", "0+30x40", "0x40"


def _promtool(*arguments: str) -> None:
    promtool = need_program("promtool", "prometheus")
    done = subprocess.run([promtool, *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def _write(path: Path, content: object) -> str:
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return str(path)


def test_every_query_parses(tmp_path: Path) -> None:
    rules = [{"record": f"query:{number}", "expr": asked.filled} for number, asked in enumerate(queries())]
    assert len(rules) > 100
    _promtool("check", "rules", _write(tmp_path / "q.yml", {"groups": [{"name": "q", "rules": rules}]}))


def _answers(tmp_path: Path, expr: str, series: dict[str, str], samples: dict[str, float]) -> None:
    test = {
        "interval": "15s",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [
            {
                "expr": Asked("", expr).filled,
                "eval_time": "9m",
                "exp_samples": [{"labels": labels, "value": value} for labels, value in samples.items()],
            }
        ],
    }
    _promtool("test", "rules", _write(tmp_path / "test.yml", {"evaluation_interval": "15s", "tests": [test]}))


@pytest.mark.parametrize(
    ("series", "samples"),
    [
        pytest.param({UP: "1x40", OK: MOVING, INTERNAL: MOVING}, {"{}": 0.5}, id="half fail"),
        pytest.param({UP: "1x40", INTERNAL: MOVING}, {"{}": 1}, id="all fail"),
        pytest.param({UP: "1x40", OK: MOVING}, {"{}": 0}, id="none ever failed"),
        pytest.param({UP: "1x40", OK: STILL, INTERNAL: STILL}, {"{}": 0}, id="no traffic"),
        pytest.param({UP: "1x40"}, {"{}": 0}, id="never any traffic"),
        pytest.param({UP: GONE}, {}, id="the node is down: no calm zero"),
        pytest.param({}, {}, id="no node at all"),
    ],
)
def test_a_ratio(tmp_path: Path, series: dict[str, str], samples: dict[str, float]) -> None:
    _answers(tmp_path, ERRORS, series, samples)


@pytest.mark.parametrize(
    ("series", "samples"),
    [
        pytest.param({UP: "1x40", OK: MOVING, INTERNAL: MOVING}, {EVENT: 0.5}, id="half fail"),
        pytest.param({UP: "1x40", OK: MOVING}, {EVENT: 0}, id="none ever failed"),
        pytest.param({UP: "1x40", INTERNAL: MOVING}, {EVENT: 1}, id="all fail"),
        pytest.param({UP: "1x40", OK: STILL}, {}, id="no traffic"),
    ],
)
def test_a_ratio_by_label(tmp_path: Path, series: dict[str, str], samples: dict[str, float]) -> None:
    _answers(tmp_path, BY_EVENT, series, samples)


@pytest.mark.parametrize(
    ("series", "samples"),
    [
        pytest.param({UP: "1x40", 'up{job="s",instance="b"}': "0x40"}, {"{}": 1}, id="one of two"),
        pytest.param({UP: GONE}, {"{}": 0}, id="down"),
        pytest.param({}, {"{}": 0}, id="never there"),
    ],
)
def test_nodes_that_answer_is_always_a_number(
    tmp_path: Path, series: dict[str, str], samples: dict[str, float]
) -> None:
    _answers(tmp_path, NODES_THAT_ANSWER, series, samples)


def test_quiet_tells_nothing_from_nobody(tmp_path: Path) -> None:
    _answers(tmp_path, quiet(gauge(CALLS)), {UP: "1x40"}, {"{}": 0})
    _answers(tmp_path, quiet(gauge(CALLS)), {UP: GONE}, {})


def test_a_query_that_is_no_promql_is_found(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="parse error"):
        _answers(tmp_path, f"{rate(CALLS_ENDED, window=WINDOW)} +", {}, {})

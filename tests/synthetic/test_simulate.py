import os
import pty
import re
import select
import signal
from pathlib import Path
from typing import Any

from synthetic.plan import Kind
from tests.support.server import Server, free_port, running_server
from tests.synthetic.conftest import SHORT
from tests.synthetic.support import Finished, back_again, scrape, signalling, started, stopped, wait_until

EVERY_KIND = "answered=6,rejected=2,unanswered=2,cancelled=2,busy=2,lost=4,failed=2"
QUICK = ("--speed", "40", "--talk-mean", "4", "--patience", "10")


def simulate(server: Server, *arguments: str) -> Finished:
    return signalling("simulate", "--url", server.url, "--json", *QUICK, *arguments)


def adds_up(report: Any) -> bool:
    """The same calls are counted in every part of a report."""
    kinds = report["kinds"].values()
    observed = sum(kind["observed"] for kind in kinds) + sum(report["other_outcomes"].values())
    calls = report["calls"]
    return bool(
        sum(kind["planned"] for kind in kinds) == calls["planned"] == observed
        and sum(kind["as_planned"] for kind in kinds) == calls["as_planned"]
        and calls["as_planned"] + calls["unexpected"] + calls["stopped"] == calls["planned"]
    )


def test_every_kind_of_call_goes_as_planned(quick_server: Server) -> None:
    done = simulate(quick_server, "--rate", "20", "--duration", "1.5", "--seed", "4", "--mix", EVERY_KIND)
    report = done.report
    assert done.code == 0, report
    assert adds_up(report)
    assert report["calls"]["as_planned"] == report["calls"]["planned"] > 25
    for kind in Kind:
        counts = report["kinds"][kind]
        assert counts["planned"] == counts["observed"] == counts["as_planned"] > 0
    answered = report["kinds"]["answered"]["planned"]
    assert report["setup_ms"]["count"] >= answered
    assert 0 < report["setup_ms"]["p50"] <= report["setup_ms"]["p95"] <= report["setup_ms"]["p99"]
    assert report["errors"] == {}
    assert report["problems"] == []


def test_the_server_saw_the_calls_that_the_summary_tells_of(quick_server: Server) -> None:
    def ended(reason: str) -> float:
        return sum(
            value
            for name, value in scrape(quick_server.metrics_url).items()
            if name.startswith("signalling_calls_ended_total{") and f'reason="{reason}"' in name
        )

    reasons = {Kind.ANSWERED: "hangup", Kind.BUSY: "busy", Kind.FAILED: "failed"}
    before = {kind: ended(reason) for kind, reason in reasons.items()}
    arguments = ("--rate", "20", "--duration", "0.7", "--seed", "3", "--mix", "answered=2,busy=1,failed=1")
    report = simulate(quick_server, *arguments).report
    for kind, reason in reasons.items():
        assert ended(reason) - before[kind] == report["kinds"][kind]["observed"] > 0


def test_every_call_that_connects_or_fails_is_reported_on_by_both(quick_server: Server) -> None:
    def reported(result: str) -> float:
        return scrape(quick_server.metrics_url)[f'signalling_ice_outcomes_total{{result="{result}"}}']

    before = {result: reported(result) for result in ("connected", "failed")}
    report = simulate(quick_server, "--rate", "20", "--duration", "0.7", "--mix", "answered=2,failed=1").report
    kinds = report["kinds"]
    assert reported("connected") - before["connected"] == 2 * kinds["answered"]["observed"] > 0
    assert reported("failed") - before["failed"] == 2 * kinds["failed"]["observed"] > 0


def test_it_works_over_polling_alone_and_with_glare_restarts_and_goodbyes(quick_server: Server) -> None:
    arguments = ("--rate", "20", "--duration", "1.2", "--seed", "32", "--mix", "answered=1", "--transport", "polling")
    done = simulate(quick_server, *arguments)
    assert done.code == 0, done.report
    besides = done.report["besides"]
    for what in ("glare", "renegotiations", "status_questions", "goodbyes"):
        assert besides[what] > 0, what


def test_a_lost_party_may_keep_the_call_for_a_while(tmp_path: Path) -> None:
    with running_server(tmp_path, **SHORT | {"RECONNECT_GRACE_S": "0.4"}) as server:
        done = simulate(server, "--rate", "8", "--duration", "1", "--seed", "4", "--mix", "lost=1")
    assert done.code == 0, done.report
    assert done.report["kinds"]["lost"]["as_planned"] > 0


def test_what_did_not_go_as_planned_is_told(quick_server: Server) -> None:
    arguments = ("--rate", "10", "--duration", "0.3", "--seed", "5", "--ring-mean", "400", "--mix", "answered=1")
    done = simulate(quick_server, *arguments)  # they let it ring for longer than the server does
    report = done.report
    assert done.code == 1
    assert adds_up(report)
    assert report["calls"]["unexpected"] > 0
    assert report["kinds"]["unanswered"] == {"planned": 0, "observed": report["calls"]["unexpected"], "as_planned": 0}
    assert "planned answered, observed unanswered: the call ended early (no_answer)" in report["problems"][0]


def test_a_few_users_make_calls_wait(quick_server: Server) -> None:
    arguments = ("--rate", "50", "--duration", "0.3", "--seed", "7", "--users", "2", "--mix", "answered=1")
    done = simulate(quick_server, *arguments, "--speed", "100", "--transport", "websocket")
    assert done.code == 0, done.report
    assert done.report["besides"]["delayed"] > 0


def test_for_people_it_is_a_table_and_a_verdict(quick_server: Server) -> None:
    arguments = ("--rate", "20", "--duration", "0.5", "--mix", "answered=1", *QUICK)
    done = signalling("simulate", "--url", quick_server.url, *arguments)
    assert done.code == 0
    assert re.search(r"^answered +(\d+) +\1 +\1$", done.out, re.MULTILINE)
    assert done.out.endswith("every call went as planned\n")


def test_a_signal_ends_it_with_a_summary_and_no_call_is_left(quick_server: Server) -> None:
    arguments = ("simulate", "--url", quick_server.url, "--json", "--rate", "10", "--duration", "0", "--users", "20")

    def calls() -> float:
        live = 'signalling_calls{state="'
        return sum(value for name, value in scrape(quick_server.metrics_url).items() if name.startswith(live))

    with started(*arguments, "--mix", "answered=1") as process:
        wait_until(lambda: calls() >= 3, "three calls at once")
        done = stopped(process, signal.SIGINT)
    wait_until(lambda: calls() == 0, "no call is left")
    wait_until(lambda: scrape(quick_server.metrics_url)["signalling_users_online"] == 0, "nobody is left")
    assert done.code == 0, done
    assert adds_up(done.report)
    assert done.report["calls"]["stopped"] >= 3


def test_calls_that_a_restart_interrupts_are_told_and_users_come_back(tmp_path: Path) -> None:
    with running_server(tmp_path, **SHORT) as server:
        arguments = ("--url", server.url, "--json", "--rate", "10", "--duration", "0", "--users", "8", "--speed", "20")

        def accepted(url: str) -> float:
            return scrape(url).get('signalling_call_milestones_total{milestone="answered"}', 0)

        with started("simulate", *arguments, "--mix", "answered=1", "--talk-mean", "20") as process:
            wait_until(lambda: accepted(server.metrics_url) >= 4, "calls are answered")
            server.stop()
            with back_again(server, **SHORT) as metrics_url:
                wait_until(lambda: accepted(metrics_url) >= 2, "calls are answered again")
                done = stopped(process, signal.SIGTERM)
    assert done.code == 1, done
    assert adds_up(done.report)
    assert done.report["other_outcomes"]["interrupted"] >= 1, done.report
    assert done.report["other_outcomes"]["broken"] == 0, done.report
    assert done.report["besides"]["reconnects"] >= 2


def test_no_server_is_one_line() -> None:
    done = signalling("simulate", "--url", f"http://127.0.0.1:{free_port()}", "--transport", "websocket")
    assert done.code == 1
    assert done.err.endswith(": cannot connect: connection refused\n")
    assert done.err.count("\n") == 1


def test_a_terminal_gets_one_line_that_changes(quick_server: Server) -> None:
    ours, theirs = pty.openpty()
    try:
        arguments = ("--rate", "10", "--duration", "0", "--users", "6", *QUICK)
        with started("simulate", "--url", quick_server.url, *arguments, stderr=theirs) as process:
            shown = ""
            while shown.count("\r") < 2:
                assert select.select([ours], [], [], 20)[0], "no progress"
                shown += os.read(ours, 4096).decode()
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=20)
    finally:
        os.close(ours)
        os.close(theirs)
    assert re.search(r"\r\x1b\[K +\d+ s: \d+ calls placed", shown)
    assert "\n" not in shown

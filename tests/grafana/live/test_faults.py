"""Real faults of real servers: each raises the alert that is named for it, at a real Alertmanager, and no other."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest

from grafana import alertmanager
from tests.grafana import shorter
from tests.grafana.boards import BOARDS
from tests.grafana.live.stories import STORIES, Stand, Story
from tests.grafana.live.webhook import Webhook
from tests.grafana.processes import Prometheus, running_alertmanager
from tests.support.needs import ROOT, need_program

UIDS = {board["uid"] for board in BOARDS}


class Played(NamedTuple):
    """The stories under way, and who is told."""

    futures: dict[str, Future[None]]
    webhook: Webhook


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    """All stories at once, since each is mostly waiting. They share an Alertmanager, as installations do."""
    for program, package in (("prometheus", "prometheus"), ("prometheus-alertmanager", "prometheus-alertmanager")):
        need_program(program, package)
    folder = tmp_path_factory.mktemp("faults")
    webhook = Webhook()
    urls = {receiver.variable: webhook.url(receiver.name) for receiver in alertmanager.RECEIVERS}
    configuration = folder / "alertmanager.yml"
    configuration.write_text(shorter.routes(alertmanager.file(urls)), "utf-8")
    with running_alertmanager(configuration, folder) as url, ThreadPoolExecutor(len(STORIES)) as pool:
        futures = {name: pool.submit(_play, name, folder / name, url, webhook) for name in STORIES}
        yield Played(futures, webhook)
    webhook.close()


def _play(name: str, folder: Path, alertmanager_url: str, webhook: Webhook) -> None:
    folder.mkdir()
    prometheus = Prometheus(folder, name, alertmanager_url)
    with prometheus.running():
        STORIES[name].play(Stand(name, folder, prometheus, webhook))


@pytest.mark.parametrize(("name", "story"), STORIES.items(), ids=STORIES)
def test_a_fault_is_told_and_nothing_else(name: str, story: Story, played: Played) -> None:
    played.futures[name].result()
    notices = played.webhook.told(name)
    assert {notice.name for notice in notices} == {"Watchdog", *story.alerts, *story.follows}
    assert played.webhook.last(name) == dict.fromkeys(story.alerts, "resolved") | dict.fromkeys(story.follows, "firing")
    for notice in notices:
        watchdog = notice.labels["alertname"] == "Watchdog"
        assert notice.receiver == ("watchdog" if watchdog else notice.labels["severity"])
        page = notice.annotations["runbook_url"].partition("#")[0]
        assert page.startswith("docs/runbooks/")
        assert (ROOT / page).is_file()
        assert notice.annotations["dashboard_url"].removeprefix("/d/") in UIDS

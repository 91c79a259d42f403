import asyncio

import pytest

from service.supervisor import Supervisor


async def test_a_task_is_named_and_kept_until_it_is_done() -> None:
    supervisor = Supervisor()
    done = asyncio.Event()
    gate = asyncio.Event()

    async def work() -> None:
        await gate.wait()
        done.set()

    task = supervisor.spawn("some work", work())
    assert task.get_name() == "some work"
    assert supervisor.running == 1
    gate.set()
    await asyncio.wait_for(done.wait(), 5)
    await asyncio.wait((task,))
    assert supervisor.running == 0


async def test_a_failure_is_logged_with_its_name(caplog: pytest.LogCaptureFixture) -> None:
    async def broken() -> None:
        raise ValueError("broken")

    task = Supervisor().spawn("broken work", broken())
    await asyncio.wait([task])
    await asyncio.sleep(0)
    assert "background task broken work failed" in caplog.text


async def test_closing_ends_what_still_runs(caplog: pytest.LogCaptureFixture) -> None:
    supervisor = Supervisor()
    task = supervisor.spawn("endless", asyncio.Event().wait())  # type: ignore[arg-type]
    await asyncio.sleep(0)
    await supervisor.close()
    assert task.cancelled()
    assert caplog.text == ""

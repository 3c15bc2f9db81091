"""When an attempt in the middle of a timestep heeds what it is told."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from threading import Thread
from time import monotonic, sleep

from core.domain.job import Job, JobState
from tests.stack.fakes import cancel, load
from tests.stack.studio import FakeStudio, steps_in
from tests.stack.submitting import ACME, Caller
from worker.tools import Tools
from worker.working import work

CALL_SECONDS = 0.02


def test_a_cancel_does_not_wait_for_the_timestep(tools: Tools, caller: Caller, journal: Path) -> None:
    job = caller.invert()

    with _calling(tools, job, calls=1000):
        cancel(tools.database, job)
        told_at = _tell(tools)

    assert load(tools.database, job).state is JobState.CANCELED
    assert steps_in(journal) == []
    assert monotonic() - told_at < 100 * CALL_SECONDS


def test_a_passed_deadline_does_not_wait_for_the_timestep(tools: Tools, caller: Caller, journal: Path) -> None:
    job = caller.invert(replace(ACME, deadline_seconds=3600))

    with _calling(tools, job, calls=1000):
        with tools.database.begin() as uow:
            uow._tx._now = uow.now() + timedelta(hours=2)  # type: ignore[attr-defined]
            uow.jobs.expire_deadlines(limit=1)
            uow.commit()
        told_at = _tell(tools)

    assert load(tools.database, job).state is JobState.EXPIRED
    assert steps_in(journal) == []
    assert monotonic() - told_at < 100 * CALL_SECONDS


def test_a_shutdown_waits_for_the_timestep_and_its_checkpoint(tools: Tools, caller: Caller, journal: Path) -> None:
    job = caller.invert()

    with _calling(tools, job, calls=20):
        tools.heartbeat.shut_down()

    handed = load(tools.database, job)
    assert (handed.state, handed.progress.timestep, len(steps_in(journal))) == (JobState.QUEUED, 1, 1)
    assert handed.checkpoint_key is not None


def _tell(tools: Tools) -> float:
    """Beats once; when the attempt was told."""
    tools.heartbeat.tick()
    return monotonic()


@contextmanager
def _calling(tools: Tools, job: Job, *, calls: int) -> Iterator[None]:
    """Works on a job of so many calls a timestep, from some time within the first; waits for its end."""
    slow = replace(tools, studio=_slow(tools, calls))
    thread = Thread(target=work, args=(slow,))
    thread.start()
    while load(tools.database, job).state is not JobState.RUNNING:
        sleep(CALL_SECONDS)
    sleep(2 * CALL_SECONDS)
    yield
    thread.join()


def _slow(tools: Tools, calls: int) -> FakeStudio:
    assert isinstance(tools.studio, FakeStudio)
    return FakeStudio(tools.studio.journal, CALL_SECONDS * calls, calls)

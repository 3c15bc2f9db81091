"""What an attempt does while the object store or the database is away."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import final

from core.domain.errors import Unavailable
from core.domain.job import JobState
from core.domain.ports import Database, UnitOfWork
from core.usecases.sweep import tidy
from tests.stack.fakes import CountingWakeUps, load
from tests.stack.hooked import HookedStore, refuse
from tests.stack.studio import steps_in
from tests.stack.submitting import Caller
from worker.heartbeat import Heartbeat
from worker.tools import Tools
from worker.working import work


@final
class AwayDatabase:
    """A database that begins nothing for so many tries."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.refusals = 0
        self.read, self.ping, self.close = database.read, database.ping, database.close

    @contextmanager
    def begin(self) -> Iterator[UnitOfWork]:
        if self.refusals > 0:
            self.refusals -= 1
            raise Unavailable("The database does not answer.")
        with self._database.begin() as uow:
            yield uow


def test_no_timestep_begins_before_the_last_is_kept(tools: Tools, caller: Caller, journal: Path) -> None:
    caller.invert()
    asked: list[tuple[str, int]] = []

    def keep(name: str) -> None:
        asked.append((name, len(steps_in(journal))))
        if asked.count(asked[-1]) <= 2 and name == "checkpoint-3":
            refuse(name)

    work(replace(tools, store=HookedStore(tools.store, keeping=keep)))

    assert asked == [(f"checkpoint-{timestep}", timestep) for timestep in (1, 2, 3, 3, 3, 4, 5)]


def test_an_outage_longer_than_a_lease_leaves_checkpoints_out(tools: Tools, caller: Caller) -> None:
    job = caller.invert()
    asked: list[str] = []

    def keep(name: str) -> None:
        asked.append(name)
        refuse(name)

    impatient = replace(tools.limits, patience_seconds=0.1)
    work(replace(tools, store=HookedStore(tools.store, keeping=keep), limits=impatient))

    assert load(tools.database, job).state is JobState.SUCCEEDED
    assert asked == [f"checkpoint-{timestep}" for timestep in (1, 1, 2, 3, 4, 5)]


def test_a_store_that_deletes_nothing_does_not_hinder_the_job(
    tools: Tools, caller: Caller, wakeups: CountingWakeUps
) -> None:
    job = caller.invert(shade=1)
    caller.invert(shade=2)
    sent = wakeups.sent

    work(replace(tools, store=HookedStore(tools.store, deleting=refuse)))

    done = load(tools.database, job)
    assert (done.state, done.attempt) == (JobState.SUCCEEDED, 1)
    assert wakeups.sent == sent + 1


def test_what_a_store_did_not_delete_is_tidied_away(tools: Tools, caller: Caller) -> None:
    job = caller.invert()
    work(replace(tools, store=HookedStore(tools.store, deleting=refuse)))
    left = set(tools.store.list(job.folder))

    tidy(tools.database, tools.store, ended_for=timedelta(0))

    kept = {artifact.key for artifact in load(tools.database, job).artifacts}
    assert left > kept
    assert set(tools.store.list(job.folder)) == kept


def test_a_resumed_attempt_waits_for_its_checkpoint(tools: Tools, caller: Caller, journal: Path) -> None:
    job = caller.invert()
    asked: list[str] = []
    work(replace(tools, store=HookedStore(tools.store, keeping=_shut_down_at(tools, "checkpoint-2"))))

    def give(name: str) -> None:
        asked.append(name)
        if len(asked) <= 2:
            refuse(name)

    again = Heartbeat(tools.database, lease_seconds=60, stall_seconds=600)
    work(replace(tools, heartbeat=again, store=HookedStore(tools.store, reading=give)))

    done = load(tools.database, job)
    assert (done.state, done.attempt) == (JobState.SUCCEEDED, 1)
    assert asked == ["checkpoint-3"] * 3
    assert [int(step.split(":")[1]) for step in steps_in(journal)] == [1, 2, 3, 4, 5]


def _shut_down_at(tools: Tools, checkpoint: str) -> Callable[[str], None]:
    def keep(name: str) -> None:
        if name == checkpoint:
            tools.heartbeat.shut_down()

    return keep


def test_a_shutdown_uses_up_no_attempt_while_the_database_is_away(tools: Tools, caller: Caller) -> None:
    job = caller.invert()
    database = AwayDatabase(tools.database)

    def keep(name: str) -> None:
        if name == "checkpoint-3":
            tools.heartbeat.shut_down()
            database.refusals = 4  # two of checkpoints, and two of the job's return

    work(replace(tools, database=database, store=HookedStore(tools.store, keeping=keep)))

    handed = load(tools.database, job)
    assert (handed.state, handed.attempt, database.refusals) == (JobState.QUEUED, 0, 0)

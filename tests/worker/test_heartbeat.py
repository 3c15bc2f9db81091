"""What the heartbeat says to the database of the jobs in flight."""

from concurrent.futures import ThreadPoolExecutor
from time import sleep

from core.domain.job import Job, JobState, Progress
from core.domain.ports import Database
from core.domain.watching import EventKind, JobEvent
from tests.stack.fakes import add_job, claim, load
from tests.stack.submitting import Caller
from worker.heartbeat import Heartbeat
from worker.tools import Tools


def test_a_silent_computation_loses_its_lease(database: Database) -> None:
    job = add_job(database)
    claimed = claim(database, lease_seconds=-1)
    strict = Heartbeat(database, lease_seconds=60, stall_seconds=0)

    with strict.carrying(claimed):
        strict.tick()
    with database.begin() as uow:
        lost = uow.jobs.expire_leases(limit=1)
        uow.commit()

    assert (lost, load(database, job).state) == (1, JobState.QUEUED)


def test_a_heartbeat_waits_in_no_circle_with_one_who_holds_several_jobs(tools: Tools, database: Database) -> None:
    """As a chunk of a batch does, which holds the inversions of its items in the order of the items."""
    first, second = sorted((add_job(database).id, add_job(database).id))
    claims = [claim(database, lease_seconds=-1), claim(database, lease_seconds=-1)]

    with tools.heartbeat.carrying(claims[0]), tools.heartbeat.carrying(claims[1]), ThreadPoolExecutor(1) as pool:
        with database.begin() as uow:
            uow.jobs.hold("acme", second)
            beaten = pool.submit(tools.heartbeat.tick)
            sleep(0.5)
            uow.jobs.hold("acme", first)
            uow.commit()
        beaten.result()

    with database.begin() as uow:
        assert uow.jobs.expire_leases(limit=2) == 0


def test_progress_is_told_by_the_newest_event_alone(tools: Tools, caller: Caller) -> None:
    job = caller.invert()
    claimed = claim(tools.database, model=tools.model.identity)

    told = []
    with tools.heartbeat.carrying(claimed) as pulse:
        for timestep in (1, 2, 2, 5):
            pulse.reached(Progress(timestep=timestep, timesteps=10))
            tools.heartbeat.tick()
            (event,) = _events(tools, job, EventKind.PROGRESS)
            told.append((event.number, event.data["timestep"]))

    assert [timestep for _, timestep in told] == [1, 2, 2, 5]
    assert told[1] == told[2]  # nothing new, nothing told
    assert told[0] < told[1] < told[3]


def _events(tools: Tools, job: Job, kind: EventKind) -> list[JobEvent]:
    with tools.database.read() as uow:
        return [event for event in uow.events.of(job.tenant, job.id) if event.kind is kind]

"""Stand-ins for the outside of the use cases, and jobs to try them with."""

from dataclasses import replace
from datetime import timedelta
from typing import Any, final

from core.domain.ids import new_job_id
from core.domain.job import Artifact, Job, JobClass, JobKind, JobState
from core.domain.ports import Claim, Database, Outcome, UnitOfWork

LEASE_SECONDS = 60.0
MODEL = {"name": "pocket", "revision": "1"}
RETENTION = timedelta(days=30)
BOTH = (JobClass.INTERACTIVE, JobClass.BATCH)
ARTIFACT = Artifact(name="inversion", media_type="application/octet-stream", bytes=4, sha256="0" * 64, key="acme/x/1")
SUCCESS = Outcome(state=JobState.SUCCEEDED, result={"quality": {"psnr": 40.0}}, artifacts=(ARTIFACT,))
FAILURE = Outcome(state=JobState.FAILED)


@final
class CountingWakeUps:
    """Implements `WakeUps` by counting."""

    def __init__(self) -> None:
        self.sent = 0

    def send(self, count: int = 1) -> None:
        self.sent += count

    def ping(self) -> None:
        return


def new_job(uow: UnitOfWork, **changes: Any) -> Job:
    """A queued inversion of the tenant `acme`, with what a test wants otherwise."""
    kind = changes.get("kind", JobKind.INVERSION)
    job = Job(
        id=new_job_id(kind),
        tenant="acme",
        kind=kind,
        job_class=JobClass.INTERACTIVE,
        state=JobState.QUEUED,
        inputs={"source_prompt": "a red circle"},
        parameters={"method": "ddim"},
        model=MODEL,
        seed=0,
        created_at=uow.now(),
        queued_at=uow.now(),
    )
    return replace(job, **changes)


def add_job(database: Database, **changes: Any) -> Job:
    """Adds such a job and commits."""
    with database.begin() as uow:
        job = uow.jobs.add(new_job(uow, **changes))
        uow.commit()
    return job


def add_follower(database: Database, leader: Job, **changes: Any) -> Job:
    """Adds a duplicate of another job and commits."""
    return add_job(database, state=JobState.WAITING, leader=leader.id, queued_at=None, **changes)


def add_edit(database: Database, inversion: Job, **changes: Any) -> Job:
    """Adds an edit of an inversion and commits."""
    return add_job(
        database, kind=JobKind.EDIT, state=JobState.WAITING, depends_on=inversion.id, queued_at=None, **changes
    )


def load(database: Database, job: Job) -> Job:
    """The job as it stands now."""
    with database.read() as uow:
        found = uow.jobs.get(job.tenant, job.id)
    assert found is not None
    return found


def claim(
    database: Database,
    classes: tuple[JobClass, ...] = BOTH,
    *,
    lease_seconds: float = LEASE_SECONDS,
    model: dict[str, str] = MODEL,
) -> Claim:
    """Claims the next job, which must be there."""
    found = try_claim(database, classes, lease_seconds=lease_seconds, model=model)
    assert found is not None
    return found


def try_claim(
    database: Database,
    classes: tuple[JobClass, ...] = BOTH,
    *,
    lease_seconds: float = LEASE_SECONDS,
    model: dict[str, str] = MODEL,
    suspects: bool = True,
) -> Claim | None:
    """Claims the next job, if any."""
    with database.begin() as uow:
        found = uow.jobs.claim_next(lease_seconds=lease_seconds, classes=classes, model=model, suspects=suspects)
        uow.commit()
    return found


def finish(database: Database, claimed: Claim, outcome: Outcome = SUCCESS) -> bool:
    """Ends a claimed job."""
    with database.begin() as uow:
        done = uow.jobs.finish(claimed, outcome, retention=RETENTION)
        uow.commit()
    return done


def cancel(database: Database, job: Job) -> Job:
    """Asks to cancel a job."""
    with database.begin() as uow:
        held = uow.jobs.hold(job.tenant, job.id)
        assert held is not None
        changed = uow.jobs.request_cancel(held)
        uow.commit()
    return changed

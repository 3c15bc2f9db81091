"""An inversion is asked for: checked, matched with equal work, and queued."""

import hashlib
import json
from datetime import timedelta
from typing import Any

from core.domain.catalogue import Model
from core.domain.errors import NotFound
from core.domain.ids import new_job_id
from core.domain.inversion_specs import resolve_inversion
from core.domain.job import Job, JobClass, JobKind, JobState
from core.domain.ports import Database, UnitOfWork, WakeUps
from core.usecases.checks import check_prompt, prompt_warnings
from core.usecases.idempotency import keep_with
from core.usecases.limits import check_limits
from core.usecases.requests import InversionRequest, Order


def submit_inversion(
    database: Database, wakeups: WakeUps, model: Model, *, order: Order, request: InversionRequest
) -> Job:
    """Keeps the job, wakes a worker, and returns the job as it stands.

    An inversion equal to one that is done or under way shares its result instead of being computed again.

    Raises:
        InputError: a parameter or the prompt is at fault.
        NotFound: the image does not exist.
        Exhausted: QUEUE_FULL or QUOTA_EXCEEDED.
    """
    with database.begin() as uow:
        check_limits(uow, order.tenant, order.limits, job_class=order.job_class)
        job = share_inversion(uow, draft_inversion(uow, model, order=order, request=request))
        keep_with(uow, job, order.remember)
        uow.commit()
    if job.state is JobState.QUEUED:
        wakeups.send()
    return job


def preview_inversion(database: Database, model: Model, *, order: Order, request: InversionRequest) -> Job:
    """The job a request would make, checked like a submitted one; no job is made.

    Raises:
        InputError, NotFound: as `submit_inversion`.
    """
    with database.read() as uow:
        return draft_inversion(uow, model, order=order, request=request)


def share_inversion(uow: UnitOfWork, job: Job) -> Job:
    """Adds a drafted job to a unit of work that the caller commits; the items of one batch share one.

    A duplicate that a person waits for takes its leader along, out of the batch's line.
    """
    leader = None if job.work_key is None else uow.jobs.find_leader(job.tenant, job.work_key)
    if leader is None:
        return uow.jobs.add(job)
    if leader.state is JobState.QUEUED and job.job_class is JobClass.INTERACTIVE:
        uow.jobs.prefer(leader)
    return leader if _is_shared(leader, job) else uow.jobs.add(job.following(leader))


def _is_shared(leader: Job, job: Job) -> bool:
    """Whether a drafted job need not be made; one that may end otherwise than its leader follows it and outlives it."""
    if job.batch_id is None or job.batch_id != leader.batch_id or job.retry_of is not None:
        return False
    same_end = not leader.cancel_requested and leader.deadline_at == job.deadline_at
    return leader.state is JobState.SUCCEEDED or same_end


def draft_inversion(uow: UnitOfWork, model: Model, *, order: Order, request: InversionRequest) -> Job:
    """The job a request would make, every parameter resolved; nothing is kept."""
    spec = resolve_inversion(request.method, request.parameters, model.defaults)
    check_prompt(model, "/source_prompt", request.source_prompt)
    image = uow.images.get(order.tenant, request.image_id)
    if image is None:
        raise NotFound(f"There is no image {request.image_id}.")
    parameters = spec.model_dump(mode="json")
    now = uow.now()
    work = [image.sha256, request.fit, request.source_prompt, request.seed, parameters, model.name, model.revision]
    return Job(
        **order.on_job(),
        id=new_job_id(JobKind.INVERSION),
        kind=JobKind.INVERSION,
        state=JobState.QUEUED,
        inputs={"image_id": image.id, "source_prompt": request.source_prompt, "fit": request.fit.value},
        parameters=parameters,
        model={"name": model.name, "revision": model.revision},
        seed=request.seed,
        created_at=now,
        queued_at=now,
        deadline_at=None if order.deadline_seconds is None else now + timedelta(seconds=order.deadline_seconds),
        work_key=_work_key(work),
        warnings=prompt_warnings(model, request.source_prompt),
    )


def _work_key(work: list[Any]) -> str:
    return hashlib.sha256(json.dumps(work, sort_keys=True, separators=(",", ":")).encode()).hexdigest()

"""What a caller can do with jobs he already has."""

from collections.abc import Sequence

from core.domain.catalogue import Model
from core.domain.edit_parts import EditMethod
from core.domain.errors import Conflict, ErrorCode, NotFound
from core.domain.inversion_specs import InversionMethod
from core.domain.job import Artifact, Job, JobKind, JobState
from core.domain.ports import Database, JobFilter, ObjectStore, WakeUps
from core.domain.specs import Fit, Output
from core.domain.variants import Variety
from core.usecases.edits import submit_edit
from core.usecases.idempotency import Remember, keep_with
from core.usecases.inversions import submit_inversion
from core.usecases.requests import EditRequest, InversionRequest, Order
from core.usecases.sweep import erase


def get_job(database: Database, tenant: str, job_id: str, *, kind: JobKind | None = None) -> Job:
    """One job of this tenant, deleted ones included.

    Raises:
        NotFound: there is none with this id, or it is of another kind.
    """
    with database.read() as uow:
        job = uow.jobs.get(tenant, job_id)
    return _found(job, job_id, kind)


def list_jobs(database: Database, query: JobFilter) -> Sequence[Job]:
    """Newest first; a page shorter than the limit is the last."""
    with database.read() as uow:
        return uow.jobs.list(query)


def get_artifact(database: Database, tenant: str, job_id: str, *, name: str) -> Artifact:
    """One result of a job.

    Raises:
        NotFound: there is no such job, or no such artifact of it.
        Conflict: JOB_NOT_FINISHED, or ARTIFACT_EXPIRED when it was deleted or kept long enough.
    """
    job = get_job(database, tenant, job_id)
    if not job.state.final:
        raise Conflict(ErrorCode.JOB_NOT_FINISHED, f"The job {job_id} is {job.state}; it has no artifacts yet.")
    if job.forgotten:
        raise Conflict(ErrorCode.ARTIFACT_EXPIRED, f"The artifacts of {job_id} are no longer kept.")
    for artifact in job.artifacts:
        if artifact.name == name:
            return artifact
    raise NotFound(f'The job {job_id} has no artifact "{name}".')


def cancel_job(
    database: Database,
    wakeups: WakeUps,
    tenant: str,
    *,
    job_id: str,
    kind: JobKind | None = None,
    remember: Remember[tuple[Job, bool]] | None = None,
) -> tuple[Job, bool]:
    """Waiting and queued jobs end at once, a running one within two calls of the model; a final one stays as it is.

    Returns:
        The job, and whether it was there to be stopped.

    Raises:
        NotFound: there is none with this id, or it is of another kind.
        Conflict: IDEMPOTENCY_IN_FLIGHT.
    """
    with database.begin() as uow:
        before = _found(uow.jobs.hold(tenant, job_id), job_id, kind)
        job = uow.jobs.request_cancel(before)
        stopped = job, not before.state.final
        keep_with(uow, stopped, remember)
        uow.commit()
    if job.kind is JobKind.INVERSION and job.state is JobState.CANCELED:
        wakeups.send()  # a duplicate may have taken its place in the queue
    return stopped


def delete_job(
    database: Database, store: ObjectStore, tenant: str, *, job_id: str, kind: JobKind | None = None
) -> None:
    """Erases the artifacts that no other job shares and leaves a tombstone; deleting twice is no error.

    Raises:
        NotFound: there is none with this id, or it is of another kind.
        Conflict: JOB_ACTIVE while it is unfinished, or while unfinished edits need it.
    """
    with database.begin() as uow:
        job = _found(uow.jobs.hold(tenant, job_id), job_id, kind)
        if not job.state.final:
            raise Conflict(ErrorCode.JOB_ACTIVE, f"The job {job_id} is {job.state}; cancel it first.")
        if uow.jobs.has_readers(job_id):
            raise Conflict(ErrorCode.JOB_ACTIVE, f"Unfinished edits need the inversion {job_id}; cancel them first.")
        keys = uow.jobs.delete(tenant, job_id)
        uow.commit()
    erase(store, keys)


def retry_job(database: Database, wakeups: WakeUps, model: Model, *, order: Order, job_id: str) -> Job:
    """A new job with the same inputs and parameters, on the model that runs now.

    Raises:
        NotFound: there is none with this id.
        Conflict: JOB_ACTIVE while it is unfinished or when it has succeeded; see also `submit_edit`.
    """
    job = get_job(database, order.tenant, job_id)
    if not job.state.final or job.state is JobState.SUCCEEDED:
        raise Conflict(
            ErrorCode.JOB_ACTIVE, f"The job {job_id} is {job.state}; only a failed, canceled or expired one is retried."
        )
    order = order.repeating(job)
    if job.kind is JobKind.INVERSION:
        return submit_inversion(database, wakeups, model, order=order, request=_inversion_request(job))
    return submit_edit(database, wakeups, model, order=order, request=_edit_request(job))


def _found(job: Job | None, job_id: str, kind: JobKind | None) -> Job:
    if job is None or kind not in {None, job.kind}:
        raise NotFound(f"There is no {kind or 'job'} {job_id}.")
    return job


def _inversion_request(job: Job) -> InversionRequest:
    return InversionRequest(
        image_id=job.inputs["image_id"],
        source_prompt=job.inputs["source_prompt"],
        method=InversionMethod(job.parameters["method"]),
        parameters=job.parameters,
        fit=Fit(job.inputs["fit"]),
        seed=job.seed,
    )


def _edit_request(job: Job) -> EditRequest:
    variety = Variety.of_inputs(job.inputs)
    # A search leaves alone what was given; what was resolved it may try otherwise.
    names = set(variety.given) if variety.search else set(job.parameters)
    return EditRequest(
        inversion=job.inputs["inversion_id"],
        target_prompt=job.inputs["target_prompt"],
        method=EditMethod(job.parameters["method"]) if "method" in names else None,
        parameters={name: job.parameters[name] for name in names - {"method"}},
        count=variety.count,
        search=variety.search,
        output=Output(job.inputs["output"]),
        seed=job.seed,
    )

"""An edit is asked for: it runs once its inversion is done."""

from datetime import timedelta

from core.domain.catalogue import Model
from core.domain.edit_specs import resolve_edit
from core.domain.errors import Conflict, ErrorCode, FieldError, InputError, NotFound
from core.domain.ids import new_job_id
from core.domain.job import Job, JobKind, JobState
from core.domain.ports import Database, UnitOfWork, WakeUps
from core.usecases.checks import check_prompt, check_words, prompt_warnings
from core.usecases.inversions import add_inversion, draft_inversion
from core.usecases.requests import EditRequest, Order


def submit_edit(database: Database, wakeups: WakeUps, model: Model, *, order: Order, request: EditRequest) -> Job:
    """Keeps the job, wakes a worker, and returns the job as it stands.

    An edit of an unfinished inversion waits for it. An edit of an image makes the inversion, or shares an equal one.

    Raises:
        InputError: a parameter, a word or a prompt is at fault.
        NotFound: the inversion or the image does not exist.
        Conflict: INVERSION_FAILED or ARTIFACT_EXPIRED: the inversion cannot be edited any more.
    """
    with database.begin() as uow:
        inversion = _inversion(uow, model, order=order, request=request)
        job = uow.jobs.add(draft_edit(uow, model, inversion, order=order, request=request))
        if order.remember is not None:
            uow.idempotency.add(order.remember(job))
        uow.commit()
    if JobState.QUEUED in {job.state, inversion.state}:
        wakeups.send()
    return job


def preview_edit(database: Database, model: Model, *, order: Order, request: EditRequest) -> tuple[Job, Job]:
    """The edit and the inversion that a request would use, checked like a submitted one; no job is made.

    Raises:
        InputError, NotFound, Conflict: as `submit_edit`.
    """
    with database.read() as uow:
        if isinstance(request.inversion, str):
            kept = uow.jobs.get(order.tenant, request.inversion)
            inversion = _usable(kept, model, inversion_id=request.inversion)
        else:
            inversion = draft_inversion(uow, model, order=order.for_inversion(), request=request.inversion)
        return draft_edit(uow, model, inversion, order=order, request=request), inversion


def draft_edit(uow: UnitOfWork, model: Model, inversion: Job, *, order: Order, request: EditRequest) -> Job:
    """The job a request would make, every parameter resolved; nothing is kept."""
    spec = resolve_edit(request.method, request.parameters)
    source = check_prompt(model, "/source_prompt", inversion.inputs["source_prompt"])
    target = check_prompt(model, "/target_prompt", request.target_prompt)
    check_words(spec, source, target)
    now = uow.now()
    return Job(
        id=new_job_id(JobKind.EDIT),
        tenant=order.tenant,
        kind=JobKind.EDIT,
        job_class=order.job_class,
        state=JobState.WAITING,
        inputs={
            "inversion_id": inversion.id,
            **inversion.inputs,
            "target_prompt": request.target_prompt,
            "output": request.output.value,
        },
        parameters=spec.model_dump(mode="json"),
        model=inversion.model,
        seed=request.seed,
        created_at=now,
        deadline_at=None if order.deadline_seconds is None else now + timedelta(seconds=order.deadline_seconds),
        max_attempts=order.max_attempts,
        depends_on=inversion.id,
        retry_of=order.retry_of,
        warnings=prompt_warnings(model, request.target_prompt),
        metadata=dict(order.metadata),
    )


def _inversion(uow: UnitOfWork, model: Model, *, order: Order, request: EditRequest) -> Job:
    if not isinstance(request.inversion, str):
        return add_inversion(uow, model, order=order.for_inversion(), request=request.inversion)
    kept = uow.jobs.hold(order.tenant, request.inversion)
    return _usable(kept, model, inversion_id=request.inversion)


def _usable(inversion: Job | None, model: Model, *, inversion_id: str) -> Job:
    if inversion is None or inversion.kind is not JobKind.INVERSION:
        raise NotFound(f"There is no inversion {inversion_id}.")
    if inversion.state.final and inversion.state is not JobState.SUCCEEDED:
        raise Conflict(
            ErrorCode.INVERSION_FAILED,
            f"The inversion {inversion.id} has {inversion.state}; retry it, or send the image again.",
        )
    if inversion.forgotten:
        raise Conflict(
            ErrorCode.ARTIFACT_EXPIRED, f"The inversion {inversion.id} is no longer kept; send the image again."
        )
    if inversion.model != {"name": model.name, "revision": model.revision}:
        detail = (
            f"The inversion {inversion.id} was made with the model {inversion.model['name']} "
            f"({inversion.model['revision']}) and can only be edited by it; this service runs {model.name} "
            f"({model.revision}). Send the image again."
        )
        raise InputError(ErrorCode.VALIDATION, detail, errors=(FieldError(pointer="/inversion_id", detail=detail),))
    return inversion

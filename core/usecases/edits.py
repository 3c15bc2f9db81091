"""An edit is asked for: it runs once its inversion is done."""

from dataclasses import replace
from datetime import timedelta

from core.domain.catalogue import Model
from core.domain.edit_specs import EditSpec
from core.domain.errors import Conflict, ErrorCode, FieldError, InputError, NotFound
from core.domain.ids import new_job_id
from core.domain.inversion_specs import resolved_inversion
from core.domain.job import Job, JobKind, JobState
from core.domain.ports import Database, UnitOfWork, WakeUps
from core.usecases.checks import check_edit, check_mask, prompt_warnings
from core.usecases.idempotency import keep_with
from core.usecases.inversions import draft_inversion, share_inversion
from core.usecases.limits import check_limits
from core.usecases.requests import EditRequest, Order


def submit_edit(database: Database, wakeups: WakeUps, model: Model, *, order: Order, request: EditRequest) -> Job:
    """Keeps the job, wakes a worker, and returns the job as it stands.

    An edit of an unfinished inversion waits for it. An edit of an image makes the inversion, or shares an equal one.

    Raises:
        InputError: a parameter, a word or a prompt is at fault.
        NotFound: the inversion or the image does not exist.
        Conflict: INVERSION_FAILED or ARTIFACT_EXPIRED: the inversion cannot be edited any more.
        Exhausted: QUEUE_FULL or QUOTA_EXCEEDED.
    """
    with database.begin() as uow:
        check_limits(uow, order.tenant, order.limits, job_class=order.job_class)
        if order.batch_id is not None:
            uow.batches.hold(order.tenant, order.batch_id)  # before any job, as whoever tends the batch does
        job, inversion = add_edit(uow, model, order=order, request=request)
        if job.batch_item is not None:
            uow.batches.assign(job)
        keep_with(uow, job, order.remember)
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


def add_edit(uow: UnitOfWork, model: Model, *, order: Order, request: EditRequest) -> tuple[Job, Job]:
    """Adds the edit, and its inversion where there is none yet, to a unit of work that the caller commits.

    A request at fault adds nothing. Returns edit and inversion.
    """
    if isinstance(request.inversion, str):
        kept = uow.jobs.hold(order.tenant, request.inversion)
        inversion = _usable(kept, model, inversion_id=request.inversion)
        edit = draft_edit(uow, model, inversion, order=order, request=request)
        if inversion.state is JobState.SUCCEEDED:  # and held, so it stays
            edit = replace(edit, state=JobState.QUEUED, queued_at=edit.created_at)
        return uow.jobs.add(edit), inversion
    drafted = draft_inversion(uow, model, order=order.for_inversion(), request=request.inversion)
    edit = draft_edit(uow, model, drafted, order=order, request=request)
    inversion = share_inversion(uow, drafted)
    inputs = {**edit.inputs, "inversion_id": inversion.id}
    return uow.jobs.add(replace(edit, depends_on=inversion.id, inputs=inputs)), inversion


def draft_edit(uow: UnitOfWork, model: Model, inversion: Job, *, order: Order, request: EditRequest) -> Job:
    """The job a request would make, every parameter resolved; nothing is kept."""
    spec = _checked(uow, model, inversion, request=request)
    now = uow.now()
    return Job(
        **order.on_job(),
        id=new_job_id(JobKind.EDIT),
        kind=JobKind.EDIT,
        state=JobState.WAITING,
        inputs={
            "inversion_id": inversion.id,
            **inversion.inputs,
            "target_prompt": request.target_prompt,
            "output": request.output.value,
            **request.variety.to_inputs(),
        },
        parameters=spec.model_dump(mode="json"),
        model=inversion.model,
        seed=request.seed,
        created_at=now,
        deadline_at=None if order.deadline_seconds is None else now + timedelta(seconds=order.deadline_seconds),
        depends_on=inversion.id,
        batch_item=order.batch_item,
        warnings=prompt_warnings(model, request.target_prompt),
    )


def _checked(uow: UnitOfWork, model: Model, inversion: Job, *, request: EditRequest) -> EditSpec:
    spec = check_edit(
        model,
        request,
        source_prompt=inversion.inputs["source_prompt"],
        inversion=resolved_inversion(inversion.parameters),
    )
    _check_images(uow, spec, inversion)
    return spec


def _check_images(uow: UnitOfWork, spec: EditSpec, inversion: Job) -> None:
    if not spec.image_ids:
        return
    picture_id = inversion.inputs["image_id"]
    images = {image_id: uow.images.get(inversion.tenant, image_id) for image_id in (picture_id, *spec.image_ids)}
    for image_id in spec.image_ids:
        if images[image_id] is None:
            raise NotFound(f"There is no image {image_id}, which the parameters name.")
    mask_id = None if spec.region is None else spec.region.image_id
    picture, mask = images[picture_id], None if mask_id is None else images[mask_id]
    if picture is not None and mask is not None:
        check_mask(picture=(picture.width, picture.height), mask=(mask.width, mask.height))


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

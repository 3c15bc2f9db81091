"""One attempt at one job, from its inputs to its final state."""

import hashlib
import logging
from collections.abc import Callable
from enum import Enum, auto
from time import monotonic

from core.domain.edit_parts import EditMethod
from core.domain.edit_specs import resolve_edit
from core.domain.errors import AppError, ComputeError, ErrorCode, NotFound, Unavailable
from core.domain.inversion_specs import InversionMethod, resolve_inversion
from core.domain.job import Artifact, Job, JobError, JobKind, JobState
from core.domain.ports import Claim, Outcome
from core.domain.specs import Fit, Output
from core.domain.studio import Check, File, Finished, Interrupted, StopReason
from core.domain.variants import Variety
from core.usecases.attempts import disown, finish, release
from core.usecases.images import get_image
from core.usecases.jobs import get_artifact
from worker.failures import CANCELED, describe
from worker.heartbeat import Pulse
from worker.insisting import Answer, discard, insist
from worker.observing import Watch
from worker.tools import Tools

_log = logging.getLogger(__name__)
_SUFFIXES = {"image/png": ".png", "application/octet-stream": ".safetensors"}


class Return(Enum):
    """What becomes of a job whose attempt ends without an outcome."""

    NOTHING = auto()  # the attempt no longer counts: another decides
    COUNTED = auto()  # back into the queue
    UNCOUNTED = auto()  # the same, and the attempt was not the job's fault


Ending = Outcome | Return


def run_attempt(tools: Tools, claim: Claim) -> None:
    """Computes, stores and ends the job, or gives it back; every write carries the claim's fence."""
    with tools.heartbeat.carrying(claim) as pulse:
        watch = Watch(tools, pulse, _folder(claim))
        ended = _write(tools, claim, _try(tools, pulse, watch))
        discard(tools.store, watch.previews)
        if ended and watch.kept is not None:
            discard(tools.store, [watch.kept])


def _try(tools: Tools, pulse: Pulse, watch: Watch) -> Ending:
    """What the job has come to."""
    claim = pulse.claim
    try:
        return _compute(tools, claim, watch)
    except Interrupted as interrupted:
        return _interrupted(claim, interrupted.reason)
    except Exception as error:  # noqa: BLE001 - a failed job must not take its worker along
        _log.warning("Attempt %d of %s failed.", claim.job.attempt, claim.job.id, exc_info=True)
        return _failed(claim, describe(error))


def _write(tools: Tools, claim: Claim, ending: Ending) -> bool:
    """True when this attempt has ended the job; when nothing can be written, its lease runs out and another goes on."""
    try:
        if _say(tools, claim, ending):
            return isinstance(ending, Outcome)
        _insist(tools, lambda: disown(tools.database, claim))
    except Unavailable:
        _log.warning("Attempt %d of %s could not say how it ended.", claim.job.attempt, claim.job.id, exc_info=True)
    return False


def _say(tools: Tools, claim: Claim, ending: Ending) -> bool:
    """False where the attempt no longer counts."""
    if isinstance(ending, Outcome):
        return _insist(tools, lambda: finish(tools.database, claim, ending, retention=tools.limits.retention))
    if ending is Return.NOTHING:
        return False
    counts = ending is Return.COUNTED
    return _insist(tools, lambda: release(tools.database, tools.wakeups, claim, count_attempt=counts))


def _compute(tools: Tools, claim: Claim, watch: Watch) -> Outcome:
    job, began_at = claim.job, monotonic()
    finished = (_invert if job.kind is JobKind.INVERSION else _edit)(tools, job, watch)
    computed_at = monotonic()
    files = tools.publishing.publish(finished.files, job_id=job.id) if job.kind is JobKind.EDIT else finished.files
    artifacts = tuple(_store(tools, _folder(claim), file, check=watch.check) for file in files)
    queued_seconds = (job.started_at - job.queued_at).total_seconds() if job.started_at and job.queued_at else 0.0
    return Outcome(
        state=JobState.SUCCEEDED,
        result=finished.result,
        artifacts=artifacts,
        metrics={"queue_seconds": queued_seconds, "compute_seconds": computed_at - began_at, **finished.metrics},
        warnings=(*job.warnings, *finished.warnings),
    )


def _invert(tools: Tools, job: Job, watch: Watch) -> Finished:
    return tools.studio.invert(
        _fetch_image(tools, job, job.inputs["image_id"]),
        job.inputs["source_prompt"],
        resolve_inversion(InversionMethod(job.parameters["method"]), job.parameters, {}),
        fit=Fit(job.inputs["fit"]),
        seed=job.seed,
        observe=watch,
        check=watch.check,
        resume=_fetch_checkpoint(tools, job),
    )


def _edit(tools: Tools, job: Job, watch: Watch) -> Finished:
    def find() -> bytes:
        artifact = get_artifact(tools.database, job.tenant, job.inputs["inversion_id"], name="inversion")
        return tools.store.get(artifact.key)

    spec = resolve_edit(EditMethod(job.parameters["method"]), job.parameters)
    return tools.studio.edit(
        _fetch(tools, find),
        _fetch_image(tools, job, job.inputs["image_id"]),
        job.inputs["target_prompt"],
        spec=spec,
        output=Output(job.inputs["output"]),
        seed=job.seed,
        images={image_id: _fetch_image(tools, job, image_id) for image_id in spec.image_ids},
        observe=watch,
        check=watch.check,
        resume=_fetch_checkpoint(tools, job),
        variety=Variety.of_inputs(job.inputs),
    )


def _interrupted(claim: Claim, reason: StopReason) -> Ending:
    if reason is StopReason.CANCELED:
        return Outcome(state=JobState.CANCELED, error=CANCELED, warnings=claim.job.warnings)
    return Return.UNCOUNTED if reason is StopReason.SHUTDOWN else Return.NOTHING


def _failed(claim: Claim, error: JobError) -> Ending:
    if error.retryable and claim.job.attempt < claim.job.max_attempts:
        return Return.COUNTED
    return Outcome(state=JobState.FAILED, error=error, warnings=claim.job.warnings)


def _store(tools: Tools, folder: str, file: File, *, check: Check) -> Artifact:
    check()  # an attempt that was lost meanwhile puts nothing
    key = f"{folder}/{file.name}{_SUFFIXES.get(file.media_type, '')}"
    try:
        _insist(tools, lambda: tools.store.put(key, file.data, media_type=file.media_type))
    except Unavailable as error:
        raise ComputeError(ErrorCode.ARTIFACT_WRITE_FAILED, "The result could not be stored.") from error
    return Artifact(
        name=file.name,
        media_type=file.media_type,
        bytes=len(file.data),
        sha256=hashlib.sha256(file.data).hexdigest(),
        key=key,
    )


def _fetch_image(tools: Tools, job: Job, image_id: str) -> bytes:
    return _fetch(tools, lambda: tools.store.get(get_image(tools.database, job.tenant, image_id).key))


def _fetch_checkpoint(tools: Tools, job: Job) -> bytes | None:
    key = job.checkpoint_key
    if key is None:
        return None
    try:
        return _insist(tools, lambda: tools.store.get(key))
    except NotFound:
        return None


def _fetch(tools: Tools, find: Callable[[], bytes]) -> bytes:
    try:
        return _insist(tools, find)
    except AppError as error:
        raise ComputeError(ErrorCode.INPUT_FETCH_FAILED, f"An input could not be read. {error.detail}") from error


def _insist(tools: Tools, call: Callable[[], Answer]) -> Answer:
    return insist(call, seconds=tools.limits.patience_seconds)


def _folder(claim: Claim) -> str:
    # The fence is part of the key, so that two attempts never write the same object.
    return f"{claim.job.folder}{claim.fence}"

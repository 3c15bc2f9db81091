"""A job as callers see it."""

from datetime import datetime
from typing import Any, Self, final

from pydantic import BaseModel, Field

from core.domain.edit_parts import EditMethod
from core.domain.errors import ErrorCode
from core.domain.inversion_specs import InversionMethod
from core.domain.job import Artifact, Job, JobError, JobKind, JobState, Progress
from service.problems import PROBLEMS

COLLECTIONS = {JobKind.INVERSION: "inversions", JobKind.EDIT: "edits"}


@final
class ProgressView(BaseModel):
    """How far a running job is."""

    timestep: int = Field(description="Timesteps finished so far.")
    timesteps: int = Field(description="Timesteps in all; 0 until the job runs.")
    fraction: float
    eta_seconds: float | None

    @classmethod
    def of(cls, progress: Progress, *, succeeded: bool = False) -> Self:
        """With the share that is done; a job may succeed before its progress was ever kept."""
        done, total = progress.timestep, progress.timesteps
        fraction = 1.0 if succeeded else done / total if total else 0.0
        return cls(timestep=done, timesteps=total, fraction=fraction, eta_seconds=progress.eta_seconds)


@final
class QueueView(BaseModel):
    """Where a queued job stands."""

    position: int = Field(description="Queued jobs of the same class and model that came earlier.")
    estimated_wait_seconds: float | None = Field(
        description="By what recent jobs took and the ready workers' slots; null while that cannot be known."
    )
    workers: int = Field(description="Ready workers that run the job's model.")


@final
class ErrorView(BaseModel):
    """Why a job has no result."""

    code: ErrorCode
    title: str
    detail: str
    retryable: bool

    @classmethod
    def of(cls, error: JobError) -> Self:
        """The code's title is added."""
        code = ErrorCode(error.code)
        return cls(code=code, title=PROBLEMS[code].title, detail=error.detail, retryable=error.retryable)


@final
class ModelRef(BaseModel):
    """What a job was computed with."""

    name: str
    revision: str


@final
class Links(BaseModel):
    """Where to go on from here; relative to the service's address."""

    self: str
    cancel: str
    events: str
    artifacts: str

    @classmethod
    def of(cls, job: Job) -> Self:
        """The addresses under the job's own collection."""
        own = job_path(job)
        return cls(self=own, cancel=f"{own}/cancel", events=f"{own}/events", artifacts=f"{own}/artifacts")


@final
class JobView(BaseModel):
    """An inversion or an edit."""

    id: str
    kind: JobKind
    state: JobState
    done: bool = Field(description="True once the state is final.")
    method: InversionMethod | EditMethod
    progress: ProgressView
    queue: QueueView | None = Field(description="Only when one queued job is read by its id.")
    attempt: int
    max_attempts: int
    cancel_requested: bool
    created_at: datetime
    queued_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    deadline_at: datetime | None
    expires_at: datetime | None = Field(description="Until when the artifacts are kept.")
    deleted_at: datetime | None
    inputs: dict[str, Any]
    parameters: dict[str, Any] = Field(description="Resolved: every default filled in.")
    result: dict[str, Any] | None
    error: ErrorView | None
    metrics: dict[str, float]
    model: ModelRef
    seed: int
    warnings: list[str] = Field(description="What a caller should know although the job was accepted.")
    metadata: dict[str, str]
    duplicate_of: str | None = Field(description="The equal job whose result this one shares.")
    retry_of: str | None
    batch_id: str | None
    links: Links

    @classmethod
    def of(cls, job: Job, queue: QueueView | None = None) -> Self:
        """The job as it stands."""
        plain = {name: getattr(job, name) for name in _SAME}
        return cls(
            **plain,
            done=job.state.final,
            method=job.parameters["method"],
            progress=ProgressView.of(job.progress, succeeded=job.state is JobState.SUCCEEDED),
            queue=queue,
            error=None if job.error is None else ErrorView.of(job.error),
            model=ModelRef(**job.model),
            warnings=[*job.warnings, *_standing_warnings(job, queue)],
            duplicate_of=job.leader,
            links=Links.of(job),
        )


@final
class JobPage(BaseModel):
    """Some jobs, newest first."""

    items: list[JobView]
    next_page_token: str | None = Field(description="Send it as `page_token` for the next page; null at the end.")


@final
class ArtifactView(BaseModel):
    """One file that a job left."""

    name: str
    media_type: str
    bytes: int
    sha256: str
    url: str = Field(description="A presigned address, or a path of this service.")
    expires_at: datetime | None = Field(description="Until when the file is kept.")

    @classmethod
    def of(cls, job: Job, artifact: Artifact, *, url: str | None) -> Self:
        """Without an address of the store's own the file is served here."""
        return cls(
            name=artifact.name,
            media_type=artifact.media_type,
            bytes=artifact.bytes,
            sha256=artifact.sha256,
            url=url or f"{job_path(job)}/artifacts/{artifact.name}",
            expires_at=job.expires_at,
        )


def job_path(job: Job) -> str:
    """The job's own address."""
    return f"/{COLLECTIONS[job.kind]}/{job.id}"


# What a caller sees under the name and in the form that the job itself has.
_SAME = (
    "id",
    "kind",
    "state",
    "attempt",
    "max_attempts",
    "cancel_requested",
    "created_at",
    "queued_at",
    "started_at",
    "finished_at",
    "deadline_at",
    "expires_at",
    "deleted_at",
    "inputs",
    "parameters",
    "result",
    "metrics",
    "seed",
    "metadata",
    "retry_of",
    "batch_id",
)


def _standing_warnings(job: Job, queue: QueueView | None) -> list[str]:
    """What holds only as long as things stand as they do."""
    if queue is None or queue.workers:
        return []
    model = f"{job.model['name']} ({job.model['revision']})"
    return [f"No worker with the model {model} is ready; the job waits for one, or until it is canceled or expires."]

"""Batches and their results as callers see them."""

from datetime import datetime
from typing import Any, Self, final

from pydantic import BaseModel, Field

from core.domain.batch import Batch, BatchResult, BatchState, ItemState
from core.domain.errors import ErrorCode
from core.domain.job import Artifact, Job, JobState
from service.problems import PROBLEMS, FieldFault
from service.schemas.jobs import job_path


@final
class RequestCounts(BaseModel):
    """The items by their state; together they are all items."""

    waiting: int = Field(description="Not started, or waiting for their inversion.")
    queued: int
    running: int
    succeeded: int
    failed: int
    canceled: int
    expired: int


@final
class BatchLinks(BaseModel):
    """Where to go on from here; relative to the service's address."""

    self: str
    results: str
    cancel: str
    retry_failed: str
    jobs: str


@final
class BatchView(BaseModel):
    """A batch as it stands."""

    id: str
    state: BatchState
    total: int
    request_counts: RequestCounts
    max_failures: int | None
    created_at: datetime
    expires_at: datetime | None = Field(description="When what is left of it expires.")
    cancel_requested_at: datetime | None
    ended_at: datetime | None
    metadata: dict[str, str]
    links: BatchLinks

    @classmethod
    def of(cls, batch: Batch) -> Self:
        """The batch as it stands."""
        own = f"/batches/{batch.id}"
        return cls(
            id=batch.id,
            state=batch.state,
            total=batch.total,
            request_counts=RequestCounts(**{state: batch.counts[state] for state in JobState}),
            max_failures=batch.max_failures,
            created_at=batch.created_at,
            expires_at=batch.deadline_at,
            cancel_requested_at=batch.cancel_requested_at,
            ended_at=batch.ended_at,
            metadata=batch.metadata,
            links=BatchLinks(
                self=own,
                results=f"{own}/results",
                cancel=f"{own}/cancel",
                retry_failed=f"{own}/retry_failed",
                jobs=f"/jobs?batch_id={batch.id}",
            ),
        )


@final
class BatchPage(BaseModel):
    """Some batches, newest first."""

    items: list[BatchView]
    next_page_token: str | None = Field(description="Send it as `page_token` for the next page; null at the end.")


@final
class ResultError(BaseModel):
    """Why an item has no result."""

    code: ErrorCode
    title: str
    detail: str
    retryable: bool
    errors: list[FieldFault] = Field(description="The faulty fields of the item.")


@final
class ResultArtifact(BaseModel):
    """One file of a result."""

    name: str
    media_type: str
    bytes: int
    sha256: str
    url: str = Field(description="A path of this service.")

    @classmethod
    def of(cls, job: Job, artifact: Artifact) -> Self:
        """Served here: an address of the store's own would be too short-lived for a file of results."""
        same = {name: getattr(artifact, name) for name in ("name", "media_type", "bytes", "sha256")}
        return cls(**same, url=f"{job_path(job)}/artifacts/{artifact.name}")


@final
class ResultView(BaseModel):
    """One line of a batch's results."""

    sequence: int = Field(description="Grows from line to line, not always by one; `after` goes on from it.")
    index: int = Field(description="The item's place in what was sent, from 0.")
    custom_id: str | None = Field(description="null where the item had none that could be read.")
    state: ItemState
    job_id: str | None
    result: dict[str, Any] | None
    artifacts: list[ResultArtifact]
    error: ResultError | None

    @classmethod
    def of(cls, found: BatchResult) -> Self:
        """What became of an item."""
        item, job = found.item, found.job
        return cls(
            sequence=found.sequence,
            index=item.number,
            custom_id=item.custom_id,
            state=item.state,
            job_id=item.job_id,
            result=None if job is None else job.result,
            artifacts=[] if job is None else [ResultArtifact.of(job, artifact) for artifact in job.artifacts],
            error=_error(found),
        )


def _error(found: BatchResult) -> ResultError | None:
    error = found.item.error or (None if found.job is None else found.job.error)
    if error is None:
        return None
    code, faults = ErrorCode(error.code), getattr(error, "errors", ())
    return ResultError(
        code=code,
        title=PROBLEMS[code].title,
        detail=error.detail,
        retryable=getattr(error, "retryable", PROBLEMS[code].retry),
        errors=[FieldFault(pointer=fault.pointer, detail=fault.detail) for fault in faults],
    )

"""A job, the states it passes through, and nothing about where it is kept."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, final


class JobKind(StrEnum):
    """What a job computes."""

    INVERSION = "inversion"
    EDIT = "edit"


class JobClass(StrEnum):
    """Who waits for a job: a person at a screen, or a batch."""

    INTERACTIVE = "interactive"
    BATCH = "batch"

    def seats(self, slots: int) -> int:
        """How many of a worker's slots it may take; the last takes no batch, so that nobody waits for a whole one."""
        return max(1, slots - 1) if self is JobClass.BATCH else slots


class JobState(StrEnum):
    """Where a job stands; the last four are final."""

    WAITING = "waiting"  # on another job: an edit on its inversion, a duplicate on its leader
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"
    EXPIRED = "expired"

    @property
    def final(self) -> bool:
        """True when the job will never change again."""
        return not TRANSITIONS[self]


TRANSITIONS: dict[JobState, frozenset[JobState]] = {
    JobState.WAITING: frozenset(
        {JobState.QUEUED, JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELED, JobState.EXPIRED}
    ),
    JobState.QUEUED: frozenset({JobState.RUNNING, JobState.CANCELED, JobState.EXPIRED, JobState.FAILED}),
    JobState.RUNNING: frozenset(
        {JobState.QUEUED, JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELED, JobState.EXPIRED}
    ),
    JobState.SUCCEEDED: frozenset(),
    JobState.FAILED: frozenset(),
    JobState.CANCELED: frozenset(),
    JobState.EXPIRED: frozenset(),
}


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class JobError:
    """Why a job has no result: a stable code and a sentence, never a traceback."""

    code: str
    detail: str
    retryable: bool


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a running job is, in timesteps of its sampling loops."""

    timestep: int = 0  # finished so far
    timesteps: int = 0  # in all
    eta_seconds: float | None = None


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """One immutable object that a job left in the store."""

    name: str  # unique within the job, e.g. "image" or "reconstruction"
    media_type: str
    bytes: int
    sha256: str
    key: str  # in the object store


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class StoredImage:
    """A caller's image as the service keeps it: re-encoded, upright, three channels."""

    id: str
    tenant: str
    sha256: str  # of the bytes the caller sent
    width: int  # pixels
    height: int  # pixels
    key: str
    created_at: datetime


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """The row that is the truth about one inversion or one edit.

    `inputs` names what the job reads (image and inversion ids, prompts, fit, output), `parameters` is the resolved
    specification as JSON, `result` what the worker measured.
    """

    id: str
    tenant: str
    kind: JobKind
    job_class: JobClass
    state: JobState
    inputs: dict[str, Any]
    parameters: dict[str, Any]
    model: dict[str, str]  # name, revision
    seed: int
    created_at: datetime
    queued_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    deadline_at: datetime | None = None
    expires_at: datetime | None = None
    deleted_at: datetime | None = None
    fence: int = 0  # grows with every claim; a writer with an older one is refused
    attempt: int = 0
    max_attempts: int = 3
    cancel_requested: bool = False
    depends_on: str | None = None  # the job this one waits for
    leader: str | None = None  # the job whose result a duplicate shares
    retry_of: str | None = None  # the failed, canceled or expired job that this one repeats
    batch_id: str | None = None
    batch_item: int | None = None  # the item whose work this job is; None for an inversion that its items share
    work_key: str | None = None  # equal keys of one tenant mean identical work
    progress: Progress = field(default_factory=Progress)
    checkpoint_key: str | None = None  # in the object store
    result: dict[str, Any] | None = None
    artifacts: tuple[Artifact, ...] = ()
    error: JobError | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    metadata: dict[str, str] = field(default_factory=dict)
    webhook: dict[str, Any] | None = None  # url, events: where its end is told, besides the tenant's endpoints
    request_id: str | None = None  # of the request that made it, for logs; None where a batch did

    @property
    def folder(self) -> str:
        """What the object keys of all its attempts begin with."""
        return f"{self.tenant}/jobs/{self.id}/"

    @property
    def suspect(self) -> bool:
        """True for an attempt after two lost ones, or after all but one: the job itself may have ended them.

        An attempt that left a checkpoint before it was lost clears the job of what came before.
        """
        return 1 < self.attempt >= min(3, self.max_attempts) and not self._has_checkpoint_of(self.fence - 1)

    @property
    def has_moved(self) -> bool:
        """True when its newest attempt has left a checkpoint of its own."""
        return self._has_checkpoint_of(self.fence)

    @property
    def forgotten(self) -> bool:
        """True when the job had a result that is no longer kept."""
        return self.state is JobState.SUCCEEDED and not self.artifacts

    def following(self, leader: "Job") -> "Job":
        """The same job, waiting for the result of an equal one."""
        return replace(self, state=JobState.WAITING, queued_at=None, leader=leader.leader or leader.id)

    def _has_checkpoint_of(self, fence: int) -> bool:
        return self.checkpoint_key is not None and self.checkpoint_key.startswith(f"{self.folder}{fence}/")

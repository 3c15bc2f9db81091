"""What the service answers, as far as a caller needs it."""

from typing import Any, final

from pydantic import BaseModel, ConfigDict


class _Answer(BaseModel):
    """A part of an answer; fields that a newer service adds are passed over."""

    model_config = ConfigDict(frozen=True, extra="ignore")


@final
class Progress(_Answer):
    """How far a job is."""

    timestep: int
    timesteps: int
    fraction: float
    eta_seconds: float | None


@final
class JobError(_Answer):
    """Why a job has no result."""

    code: str
    detail: str
    retryable: bool


@final
class Job(_Answer):
    """An inversion or an edit as it stood when it was read."""

    id: str
    kind: str
    state: str
    done: bool
    method: str
    progress: Progress
    attempt: int
    inputs: dict[str, Any]
    parameters: dict[str, Any]
    result: dict[str, Any] | None
    error: JobError | None
    metrics: dict[str, float]
    model: dict[str, str]
    seed: int
    warnings: tuple[str, ...]
    metadata: dict[str, str]


@final
class Batch(_Answer):
    """A batch as it stood when it was read."""

    id: str
    state: str
    total: int
    request_counts: dict[str, int]

    @property
    def unfinished(self) -> int:
        """Items that are not final."""
        return sum(self.request_counts[state] for state in ("waiting", "queued", "running"))


@final
class Artifact(_Answer):
    """One file that a job left."""

    name: str
    media_type: str
    bytes: int
    sha256: str

"""Jobs as rows and rows as jobs."""

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from sqlalchemy import Row

from core.domain.job import Artifact, Job, JobClass, JobError, JobKind, JobState, Progress

_SAME = tuple(
    field.name
    for field in fields(Job)
    if field.name not in {"kind", "job_class", "state", "progress", "artifacts", "error", "warnings"}
)


def to_row(job: Job) -> dict[str, Any]:
    """The columns of a new job."""
    return {
        **{name: getattr(job, name) for name in _SAME},
        **asdict(job.progress),
        "kind": job.kind,
        "job_class": job.job_class,
        "state": job.state,
        "method": job.parameters["method"],
        "model_key": model_key(job.model),
        "artifacts": to_documents(job.artifacts),
        "error": None if job.error is None else asdict(job.error),
        "warnings": list(job.warnings),
    }


def model_key(model: Mapping[str, str]) -> str:
    """A model's name and revision as one text that can be compared and indexed."""
    return f"{model['name']}@{model['revision']}"


def to_documents(artifacts: tuple[Artifact, ...]) -> list[dict[str, Any]]:
    """Artifacts as the column keeps them."""
    return [asdict(artifact) for artifact in artifacts]


def to_job(row: Row[Any]) -> Job:
    """The job of a row of the whole table."""
    columns = row._mapping  # noqa: SLF001 - SQLAlchemy's public name for a row as a mapping
    error = columns["error"]
    return Job(
        **{name: columns[name] for name in _SAME},
        kind=JobKind(columns["kind"]),
        job_class=JobClass(columns["job_class"]),
        state=JobState(columns["state"]),
        progress=Progress(**{field.name: columns[field.name] for field in fields(Progress)}),
        artifacts=tuple(Artifact(**document) for document in columns["artifacts"]),
        error=None if error is None else JobError(**error),
        warnings=tuple(columns["warnings"]),
    )

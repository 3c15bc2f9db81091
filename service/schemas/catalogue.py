"""What this service can do, as callers see it."""

from datetime import datetime
from typing import Any, Self, final

from pydantic import BaseModel, Field

from core.domain.catalogue import Model
from core.domain.edit_parts import EditMethod
from core.domain.errors import ErrorCode
from core.domain.job import JobClass
from core.domain.methods import Method
from core.domain.variants import grid_of, is_stochastic
from core.domain.watching import QueueLoad
from service.problems import PROBLEMS
from service.schemas.previews import CostView


@final
class CitationView(BaseModel):
    """Where a method was published."""

    authors: str
    title: str
    year: int
    url: str


@final
class MethodView(BaseModel):
    """One method."""

    name: str
    summary: str
    parameters: dict[str, Any] = Field(description="JSON Schema, with defaults and bounds.")
    cost: CostView = Field(description="At the default parameters.")
    citation: CitationView
    stochastic: bool = Field(description="Whether another seed gives another edit, so that `count` makes sense.")
    search: list[dict[str, float]] = Field(description="The settings of it that `search` tries; none: it cannot.")

    @classmethod
    def of(cls, method: Method, cost: CostView) -> Self:
        """The specification's schema, less the method's own name."""
        schema = method.spec.model_json_schema()
        schema["properties"].pop("method")
        paper = method.citation
        edit = method.name if isinstance(method.name, EditMethod) else None
        return cls(
            stochastic=edit is not None and is_stochastic(edit),
            search=[] if edit is None else [dict(row) for row in grid_of(edit)],
            name=method.name,
            summary=(method.spec.__doc__ or "").split("\n", 1)[0],
            parameters=schema,
            cost=cost,
            citation=CitationView(
                authors=paper.authors, title=paper.title, year=paper.year, url=f"https://arxiv.org/abs/{paper.arxiv}"
            ),
        )


@final
class MethodsView(BaseModel):
    """Any inversion method goes with any edit method."""

    inversions: list[MethodView]
    edits: list[MethodView]


@final
class ModelView(BaseModel):
    """A model this service runs."""

    name: str
    revision: str
    resolution_pixels: int
    max_tokens: int = Field(description="The longest prompt, without start and end.")
    defaults: dict[str, Any] = Field(description="Parameters that stand before a method's own defaults.")
    known_words: list[str] | None = Field(description="All words the model was trained with, where they can be listed.")

    @classmethod
    def of(cls, model: Model) -> Self:
        """Without where it lies."""
        return cls(
            name=model.name,
            revision=model.revision,
            resolution_pixels=model.resolution_pixels,
            max_tokens=model.max_tokens,
            defaults=model.defaults,
            known_words=None if model.known_words is None else sorted(model.known_words),
        )


@final
class QueueClassView(BaseModel):
    """How busy one class of jobs is."""

    job_class: JobClass
    depth: int = Field(description="Jobs that are queued.")
    oldest_age_seconds: float | None
    running: int
    workers: int = Field(description="That are ready: a model is loaded and has run once.")
    slots: int = Field(description="Of these workers, open to this class.")
    stranded: int = Field(description="Of the queued jobs, those whose model no ready worker runs.")
    estimated_wait_seconds: float | None = Field(
        description="For a job submitted now; null until one has ended and while no worker is ready."
    )

    @classmethod
    def of(cls, load: QueueLoad, now: datetime) -> Self:
        """Seen from this moment."""
        oldest = load.oldest_queued_at
        return cls(
            job_class=load.job_class,
            depth=load.queued,
            oldest_age_seconds=None if oldest is None else max((now - oldest).total_seconds(), 0.0),
            running=load.running,
            workers=load.workers,
            slots=load.slots,
            stranded=load.stranded,
            estimated_wait_seconds=load.estimated_wait_seconds(load.queued),
        )


@final
class ProblemKindView(BaseModel):
    """What a problem's code means."""

    code: ErrorCode
    title: str
    status: int | None = Field(description="Of the answer; null for a code that only a job's `error` carries.")
    retry: bool = Field(description="Whether the same request can succeed later.")

    @classmethod
    def of(cls, code: ErrorCode) -> Self:
        """By the table of problems."""
        kind = PROBLEMS[code]
        return cls(code=code, title=kind.title, status=None if kind.in_job else kind.status.value, retry=kind.retry)


@final
class Health(BaseModel):
    """The parts this process needs."""

    status: str
    parts: dict[str, str]

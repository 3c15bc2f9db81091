"""What a caller asks for, before it is checked: given values only, every default still open."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, final

from pydantic import TypeAdapter

from core.domain.edit_parts import EditMethod
from core.domain.inversion_specs import InversionMethod
from core.domain.job import Job, JobClass
from core.domain.specs import Fit, Output
from core.domain.variants import Variety
from core.usecases.idempotency import Remember
from core.usecases.limits import Limits


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What every submission carries besides the work itself.

    `remember` makes the idempotency record of the answer; it is kept in the same commit as the job.
    """

    tenant: str
    job_class: JobClass = JobClass.INTERACTIVE
    metadata: Mapping[str, str] = field(default_factory=dict)
    deadline_seconds: float | None = None
    max_attempts: int = 3
    retry_of: str | None = None
    batch_id: str | None = None
    batch_item: int | None = None
    webhook: Mapping[str, Any] | None = None  # url, events
    limits: Limits | None = None
    request_id: str | None = None  # for logs
    remember: Remember[Job] | None = None

    def on_job(self) -> dict[str, Any]:
        """What a job keeps of its order as it stands."""
        same = ("tenant", "job_class", "max_attempts", "retry_of", "batch_id", "request_id")
        webhook = None if self.webhook is None else dict(self.webhook)
        return {**{name: getattr(self, name) for name in same}, "metadata": dict(self.metadata), "webhook": webhook}

    def for_inversion(self) -> "Order":
        """The order for the inversion that an edit brings along."""
        return replace(self, metadata={}, retry_of=None, batch_item=None, webhook=None, remember=None)

    def repeating(self, job: Job) -> "Order":
        """The order for another run of a job, with what its caller had noted on it."""
        return replace(
            self,
            job_class=job.job_class,
            metadata=job.metadata,
            retry_of=job.id,
            batch_id=job.batch_id,
            batch_item=job.batch_item,
            webhook=job.webhook,
        )


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class InversionRequest:
    """An image and the sentence that describes it; equal requests with equal seeds give equal results."""

    image_id: str
    source_prompt: str
    method: InversionMethod = InversionMethod.STYLEDIFFUSION
    parameters: Mapping[str, Any] = field(default_factory=dict)
    fit: Fit = Fit.CROP
    seed: int = 0


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class EditRequest:
    """Another sentence for an inversion: one that exists, by id, or one to be made or reused.

    No method is p2plus, or with `search` several; no count is 1, or with `search` a few.
    """

    inversion: str | InversionRequest
    target_prompt: str
    method: EditMethod | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    output: Output = Output.ORIGINAL
    seed: int = 0
    count: int | None = None
    search: bool = False

    @property
    def variety(self) -> Variety:
        """How many results, of which settings."""
        given = (*self.parameters, *(() if self.method is None else ("method",)))
        return Variety(count=self.count, search=self.search, given=given if self.search else ())

    def to_document(self) -> dict[str, Any]:
        """The same as JSON."""
        return asdict(self)

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "EditRequest":
        """The request that `to_document` wrote."""
        return _EDIT.validate_python(document)


_EDIT = TypeAdapter(EditRequest)

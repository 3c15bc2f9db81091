"""What a submission would be, answered without making a job."""

from collections.abc import Sequence
from typing import Any, Self, final

from pydantic import BaseModel, Field

from core.domain.costs import Cost
from core.domain.edit_parts import EditMethod
from core.domain.job import Job
from core.domain.variants import Candidate
from service.schemas.jobs import ModelRef


@final
class CostView(BaseModel):
    """The most UNet passes of one latent that the parameters allow; learned inversions often end earlier."""

    unet_forwards: int
    unet_backwards: int

    @classmethod
    def of(cls, cost: Cost) -> Self:
        """The same figures."""
        return cls(unet_forwards=cost.unet_forwards, unet_backwards=cost.unet_backwards)


@final
class CandidateView(BaseModel):
    """One setting that would be tried."""

    method: EditMethod
    parameters: dict[str, Any]
    seed: int

    @classmethod
    def of(cls, candidate: Candidate) -> Self:
        """With its parameters resolved."""
        parameters = candidate.spec.model_dump(mode="json")
        return cls(method=candidate.spec.method, parameters=parameters, seed=candidate.seed)


@final
class Preview(BaseModel):
    """A sound request, resolved."""

    inputs: dict[str, Any]
    parameters: dict[str, Any] = Field(description="Resolved: every default filled in.")
    model: ModelRef
    seed: int
    warnings: list[str]
    estimated_cost: CostView = Field(description="With the inversion's, where the edit would make one.")

    candidates: list[CandidateView] = Field(description="What would be tried, where several results are asked for.")

    @classmethod
    def of(cls, job: Job, cost: Cost, candidates: Sequence[Candidate] = ()) -> Self:
        """The job that would be made, and what it would cost."""
        return cls(
            inputs=job.inputs,
            parameters=job.parameters,
            model=ModelRef(**job.model),
            seed=job.seed,
            warnings=list(job.warnings),
            estimated_cost=CostView.of(cost),
            candidates=[CandidateView.of(one) for one in candidates],
        )

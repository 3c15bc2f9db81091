"""What every editor is given and what it returns."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, final

from jaxtyping import Bool, Float
from torch import Tensor

from core.diffusion.attention.blend import blend
from core.diffusion.inversion.inversion import Inversion
from core.domain.prompts import Prompt


@final
@dataclass(frozen=True, slots=True, eq=False)
class Text:
    """A prompt and its embedding."""

    prompt: Prompt
    embedding: Float[Tensor, "tokens width"]


@final
@dataclass(frozen=True, slots=True, eq=False)
class EditSubject:
    """An inversion and the sentence that its picture is to follow.

    Args:
        inversion: what is edited.
        source: the sentence it was made with; the content's own where a second picture is edited.
        target: the sentence asked for.
        null: text embedding of the empty prompt.
        guidance: scale of classifier-free guidance.
        region: where the edit may act; None is everywhere.
        content: latent of a second picture, for editors that take one.
        sentences: text embeddings of the sentences that the method's parameters hold, by name.
        projections: width in and out of each projection of the model's attention, for editors that fit weights.
    """

    inversion: Inversion
    source: Text
    target: Text
    null: Float[Tensor, "tokens width"]
    guidance: float
    region: Bool[Tensor, "h w"] | None = None
    content: Float[Tensor, "c h w"] | None = None
    sentences: Mapping[str, Float[Tensor, "tokens width"]] = field(default_factory=dict)
    projections: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def unedited(self) -> Float[Tensor, "c h w"]:
        """The latent of what an edit is compared with."""
        return self.inversion.path[-1] if self.content is None else self.content

    def hold(self, latent: Float[Tensor, "c h w"], index: int) -> Float[Tensor, "c h w"]:
        """The latent after timestep `index` of the inversion's path, which stands wherever the edit may not act."""
        return latent if self.region is None else blend(self.inversion.path[index + 1], latent, self.region)


@final
@dataclass(frozen=True, slots=True, eq=False)
class Edited:
    """The edit's final latent, the region it was kept to if any, and the plan as a caller reads it."""

    latent: Float[Tensor, "c h w"]
    region: Bool[Tensor, "h w"] | None
    plan: Mapping[str, Any]

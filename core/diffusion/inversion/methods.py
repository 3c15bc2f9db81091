"""Every inversion method by its specification."""

from core.diffusion.inversion.ddim import invert_ddim
from core.diffusion.inversion.direct import invert_direct
from core.diffusion.inversion.edit_friendly import invert_edit_friendly
from core.diffusion.inversion.inversion import Inversion
from core.diffusion.inversion.negative_prompt import invert_negative_prompt
from core.diffusion.inversion.null_text import invert_null_text
from core.diffusion.inversion.pix2pix_zero import invert_pix2pix_zero
from core.diffusion.inversion.stylediffusion import invert_stylediffusion
from core.diffusion.inversion.text_embedding import invert_text_embedding
from core.diffusion.inversion.trace import Subject
from core.diffusion.inversion.value_embedding import invert_value_embedding
from core.diffusion.requests import Solver, Tensors
from core.diffusion.schedule import Schedule
from core.domain.inversion_specs import (
    DdimSpec,
    DirectSpec,
    EditFriendlySpec,
    InversionSpec,
    NegativePromptSpec,
    NullTextSpec,
    Pix2PixZeroInversionSpec,
    ProximalSpec,
    StyleDiffusionSpec,
    TextEmbeddingSpec,
    ValueEmbeddingSpec,
)


def invert(
    spec: InversionSpec, subject: Subject, schedule: Schedule, *, seed: int, resume: Tensors | None = None
) -> Solver[Inversion]:
    """The solver of a specification; `resume` is the state of an earlier `Reached`, on whatever device."""
    if resume is not None:
        resume = {name: tensor.to(subject.latent.device) for name, tensor in resume.items()}
    match spec:
        case DdimSpec():
            return invert_ddim(spec, subject, schedule, resume=resume)
        case NegativePromptSpec() | ProximalSpec():
            return invert_negative_prompt(spec, subject, schedule, resume=resume)
        case DirectSpec():
            return invert_direct(spec, subject, schedule, resume=resume)
        case EditFriendlySpec():
            return invert_edit_friendly(spec, subject, schedule, seed=seed, resume=resume)
        case Pix2PixZeroInversionSpec():
            return invert_pix2pix_zero(spec, subject, schedule, seed=seed, resume=resume)
        case _:
            return _learn(spec, subject, schedule, seed=seed, resume=resume)


def _learn(
    spec: StyleDiffusionSpec | ValueEmbeddingSpec | TextEmbeddingSpec | NullTextSpec,
    subject: Subject,
    schedule: Schedule,
    *,
    seed: int,
    resume: Tensors | None,
) -> Solver[Inversion]:
    match spec:
        case StyleDiffusionSpec():
            return invert_stylediffusion(spec, subject, schedule, seed=seed, resume=resume)
        case ValueEmbeddingSpec():
            return invert_value_embedding(spec, subject, schedule, resume=resume)
        case TextEmbeddingSpec():
            return invert_text_embedding(spec, subject, schedule, resume=resume)
        case NullTextSpec():
            return invert_null_text(spec, subject, schedule, resume=resume)

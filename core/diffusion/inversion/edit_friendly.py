"""Edit-friendly DDPM inversion: independent noise at every timestep, and the noise of each step that links them.

Source: Huberman-Spiegelglas et al. 2023, arXiv 2304.06140, algorithm 1.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from core.diffusion.attention.sites import carries_words
from core.diffusion.conditioning import Inputs, NoiseConditioning
from core.diffusion.inversion.inversion import Inversion
from core.diffusion.inversion.reconstruction import denoise_source
from core.diffusion.inversion.sampling_rules import PlainRule
from core.diffusion.inversion.trace import Subject, mean_maps
from core.diffusion.requests import Reached, Solver, Tensors
from core.diffusion.schedule import Schedule
from core.domain.inversion_specs import EditFriendlySpec


def invert_edit_friendly(
    spec: EditFriendlySpec, subject: Subject, schedule: Schedule, *, seed: int, resume: Tensors | None = None
) -> Solver[Inversion]:
    """Finds the noise of every timestep that is not skipped: 2 passes each, one at source guidance 1.

    The published code computes the skipped timesteps too, draws from the global generator, and drops the last
    timestep's noise, so that the image does not quite come back; here it is kept.
    """
    schedule = schedule.last(spec.sampled)
    latents = _noised(subject.latent, schedule, seed=seed)
    inputs, rule = Inputs(subject.source, subject.source, subject.null), PlainRule()
    found = {"path": [latents[0]], "noises": [], "words": []}
    if resume is not None:
        found = {name: list(tensor) for name, tensor in resume.items()}
    path, noises, words = found.values()
    for index, timestep in list(enumerate(schedule.timesteps))[len(noises) :]:
        outputs, seen = yield from denoise_source(
            inputs, path[-1], timestep, guidance=spec.source_guidance, record=carries_words
        )
        mean = rule.advance(schedule, path[-1], outputs.adding(torch.zeros_like(subject.latent)), index=index)
        noises.append(_noise_between(mean, latents[index + 1], sigma=schedule.sigma(timestep)))
        # Not the latent aimed at but the one reached, so that rounding does not add up.
        path.append(rule.advance(schedule, path[-1], outputs.adding(noises[-1]), index=index))
        words.append(mean_maps(seen)[0])
        yield Reached(
            index + 1, spec.sampled, path[-1], lambda: {name: torch.stack(parts) for name, parts in found.items()}
        )
    conditioning = NoiseConditioning(torch.stack(noises), subject.null)
    return Inversion(conditioning, latents.flip(0), torch.stack(path), torch.stack(words).mean(0))


def _noised(latent: Float[Tensor, "c h w"], schedule: Schedule, *, seed: int) -> Float[Tensor, "steps c h w"]:
    """The image at every timestep's noise level, each with noise of its own, and last the image itself.

    Timestep 0, which an offset of 0 has, is the image's own level.
    """
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(len(schedule.timesteps), *latent.shape, generator=generator).to(latent)
    noised = [
        schedule.noised(latent, drawn, timestep) if timestep > 0 else latent
        for drawn, timestep in zip(noise, schedule.timesteps, strict=True)
    ]
    return torch.stack([*noised, latent])


def _noise_between(mean: Tensor, following: Tensor, *, sigma: float) -> Tensor:
    """The noise with which a step from this mean arrives at the latent that follows; none where it adds none."""
    return (following - mean) / sigma if sigma > 0 else torch.zeros_like(mean)

"""Pix2pix-zero's inversion: DDIM inversion whose predicted noise is kept close to noise.

Source: Parmar et al. 2023, arXiv 2302.03027, section 3.2.
"""

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Generator, Tensor

from core.diffusion.conditioning import PlainConditioning
from core.diffusion.inversion.inversion import Inversion
from core.diffusion.inversion.reconstruction import reconstruct
from core.diffusion.inversion.sampling_rules import PlainRule
from core.diffusion.inversion.trace import Subject, trace_image
from core.diffusion.requests import Solver, Tensors
from core.diffusion.schedule import Schedule
from core.domain.inversion_specs import Pix2PixZeroInversionSpec

_PUBLISHED_PIXELS = 64 * 64


def invert_pix2pix_zero(
    spec: Pix2PixZeroInversionSpec, subject: Subject, schedule: Schedule, *, seed: int, resume: Tensors | None = None
) -> Solver[Inversion]:
    """Traces the image with regularised noise and samples it again: 2T passes.

    The source prompt is its own negative prompt, as published: both branches are one, so that guidance cannot lead the
    path away, and an edit is guided from the source to the target.

    Departures: the published code samples the autoencoder's posterior and takes 48 of 50 timesteps, the image at the
    noise level of the first; here mean, timesteps and levels are those of every other inversion.
    """
    generator = Generator().manual_seed(seed)
    trace = yield from trace_image(
        subject,
        schedule,
        keep_maps=False,
        calls_in_all=2 * spec.timesteps,
        settle=partial(regularise, spec, generator=generator),
        generator=generator,
        resume=resume,
    )
    conditioning = PlainConditioning(subject.source)
    path = yield from reconstruct(
        subject, schedule, trace, conditioning=conditioning, rule=PlainRule(), guidance=spec.guidance, resume=resume
    )
    return Inversion(conditioning, trace.latents, path, trace.word_maps)


def regularise(
    spec: Pix2PixZeroInversionSpec, noise: Float[Tensor, "c side side"], *, generator: Generator
) -> Float[Tensor, "c side side"]:
    """Noise after descents on its autocorrelation and on its distance from a standard normal distribution.

    A loss that is a mean has a gradient that shrinks with the number of pixels; steps are scaled to those of the
    published latent, 64 pixels on a side, so that a weight means the same at every size.
    """
    scale = noise.shape[-1] * noise.shape[-2] / _PUBLISHED_PIXELS
    rolled = partial(autocorrelation, generator=generator)
    for _ in range(spec.regularisation_steps):
        for _ in range(spec.rolls):
            noise = noise - scale * spec.autocorrelation_weight / spec.rolls * _gradient(rolled, noise)
        noise = noise - scale * spec.divergence_weight * _gradient(divergence, noise)
    return noise


def autocorrelation(noise: Float[Tensor, "c side side"], *, generator: Generator) -> Float[Tensor, ""]:
    """Squared mean products of the noise with itself, rolled across and down, summed over channels and a pyramid.

    Each channel and level draws its own distance, from 1 to less than half its side: a roll of 0 would count the
    noise's power as correlation. The pyramid ends at an eighth of the latent's side (64, 32, 16, 8), or at 4.
    """
    total, coarsest = noise.new_zeros(()), max(4, noise.shape[-1] // 8)
    while True:
        side = noise.shape[-1]
        distances = torch.randint(1, side // 2, (len(noise), 1), generator=generator)
        places = ((torch.arange(side) - distances) % side).to(noise.device)
        for rolled in (noise, noise.mT):
            other = rolled.gather(2, places[:, None].expand(rolled.shape))
            total = total + (rolled * other).mean((1, 2)).square().sum()
        if side < 2 * coarsest:
            return total
        noise = F.avg_pool2d(noise, 2)


def divergence(noise: Float[Tensor, "c side side"]) -> Float[Tensor, ""]:
    """Twice the Kullback-Leibler divergence of a normal distribution with the noise's mean and variance."""
    variance = noise.var()
    return variance + noise.mean() ** 2 - 1 - torch.log(variance + 1e-7)


def _gradient(loss: Callable[[Tensor], Tensor], noise: Tensor) -> Tensor:
    with torch.enable_grad():
        leaf = noise.detach().requires_grad_()
        return torch.autograd.grad(loss(leaf), leaf)[0]

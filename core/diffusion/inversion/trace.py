"""DDIM inversion: the path from an image's latent to noise, which every method here starts from."""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from functools import partial
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from core.diffusion.attention.sites import Site, carries_words
from core.diffusion.requests import Answer, Denoised, Reached, Request, Rows, Tensors, denoise
from core.diffusion.schedule import Schedule


@final
@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """What an inversion works on: an image and its sentence, encoded once.

    Args:
        latent: mean of the autoencoder's posterior, scaled.
        source: text embedding of the source prompt.
        null: text embedding of the empty prompt.
        features: all tokens of the image encoder's last layer after its final layer norm, E(x).
    """

    latent: Float[Tensor, "c h w"]
    source: Float[Tensor, "tokens width"]
    null: Float[Tensor, "tokens width"]
    features: Float[Tensor, "image_tokens width"]


@final
@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """The latents of DDIM inversion, from the image (index 0) to noise (index T), and where each word acted.

    `word_maps` is the mean attention over timesteps, layers and heads; `maps[k]` holds the maps of call k, which left
    latent k, where they were asked for.
    """

    latents: Float[Tensor, "steps c h w"]
    word_maps: Float[Tensor, "pixels tokens"]
    maps: tuple[dict[Site, Tensor], ...] = ()

    def tensors(self) -> Tensors:
        """What `trace_image` takes a finished trace from."""
        return {"trace": self.latents, "word_maps": self.word_maps}


def trace_image(
    subject: Subject,
    schedule: Schedule,
    *,
    keep_maps: bool,
    calls_in_all: int,
    settle: Callable[[Tensor], Tensor] | None = None,
    generator: torch.Generator | None = None,
    resume: Tensors | None = None,
) -> Generator[Request, Answer, Trace]:
    """Runs DDIM inversion with the source prompt at guidance 1: T calls.

    Args:
        subject: the encoded image.
        schedule: T timesteps.
        keep_maps: whether the maps of each call are wanted, not only their mean.
        calls_in_all: for progress, the units of the whole inversion.
        settle: puts other noise in the place of what each call predicts.
        generator: what `settle` draws from; its state is part of a checkpoint.
        resume: the state of an earlier `Reached`, of the trace or of what came after it. A resumed trace keeps no maps.
    Source: Mokady et al. 2023, arXiv 2211.09794, section 3.1.
    """
    if resume is not None and "word_maps" in resume:
        return Trace(resume["trace"], resume["word_maps"])
    latents, words = [subject.latent], list[Tensor]()
    maps: list[dict[Site, Tensor]] = []
    if resume is not None:
        keep_maps, latents, words = False, list(resume["trace"]), list(resume["words"])
        if generator is not None:
            generator.set_state(resume["random"].cpu())
    state = partial(_state, latents, words, generator=generator)
    for call, timestep in list(enumerate(reversed(schedule.timesteps)))[len(words) :]:
        seen = yield from denoise(inversion_rows(subject, latents[-1], timestep))
        latents.append(schedule.invert(latents[-1], seen.output[0], timestep, settle=settle))
        words.append(mean_maps(seen)[0])
        if keep_maps:
            maps.append(dict(seen.maps))
        yield Reached(call + 1, calls_in_all, latents[-1], state)
    return Trace(torch.stack(latents), torch.stack(words).mean(0), tuple(maps))


def _state(latents: list[Tensor], words: list[Tensor], *, generator: torch.Generator | None) -> Tensors:
    random = {} if generator is None else {"random": generator.get_state()}
    return {"trace": torch.stack(latents), "words": torch.stack(words), **random}


def inversion_rows(subject: Subject, latent: Float[Tensor, "c h w"], timestep: int) -> Rows:
    """The row of one inversion call, with the maps of the words recorded."""
    text = subject.source[None]
    return Rows(latent[None], timestep, keys=text, values=text, record=carries_words)


def mean_maps(seen: Denoised) -> Float[Tensor, "n pixels tokens"]:
    """Recorded maps averaged over layers and heads."""
    return torch.stack([maps.mean(1) for maps in seen.maps.values()]).mean(0)

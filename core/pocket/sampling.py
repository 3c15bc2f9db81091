"""The pocket model at work without the service: loading, sampling, and cross-attention read or reweighted."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from torch import Tensor
from transformers import CLIPModel, CLIPTextModel, CLIPTokenizer

_LATENT: Final = (4, 16, 16)


@dataclass
class WordAttention:
    """A cross-attention processor: scales each row's tokens by `factors`, and keeps maps where `maps` is a list.

    Attributes:
        factors: [rows, tokens], or None for all ones; scaled weights are not normalised again, as in Prompt-to-Prompt.
        maps: filled with [rows, cells, tokens], averaged over heads, one entry a site.
    """

    factors: Tensor | None = None
    maps: list[Tensor] | None = field(default=None)

    def __call__(self, attention: Any, hidden_states: Tensor, encoder_hidden_states: Tensor, **_: object) -> Tensor:
        query, key, value = (
            states.unflatten(-1, (attention.heads, -1)).transpose(1, 2)
            for states in (
                attention.to_q(hidden_states),
                attention.to_k(encoder_hidden_states),
                attention.to_v(encoder_hidden_states),
            )
        )
        weights = (query @ key.mT * attention.scale).softmax(-1)
        if self.maps is not None:
            self.maps.append(weights.mean(1))
        if self.factors is not None:
            weights = weights * self.factors[:, None, None]
        output: Tensor = attention.to_out[0]((weights @ value).transpose(1, 2).flatten(2))
        return output


@dataclass(frozen=True, slots=True)
class Pocket:
    """A pocket model in single precision, its cross-attention under `words`."""

    autoencoder: Any
    unet: Any
    text: Any
    tokenizer: Any
    scheduler: Any
    clip: Any
    words: WordAttention

    @classmethod
    def load(cls, folder: Path) -> "Pocket":
        """Load every part of a model's folder."""
        unet = _load(UNet2DConditionModel, folder / "unet")
        words = WordAttention()
        unet.set_attn_processor({name: words if "attn2" in name else one for name, one in unet.attn_processors.items()})
        return cls(
            autoencoder=_load(AutoencoderKL, folder / "vae"),
            unet=unet,
            text=CLIPTextModel.from_pretrained(folder / "text_encoder", dtype=torch.float32),
            tokenizer=CLIPTokenizer.from_pretrained(folder / "tokenizer"),
            scheduler=DDIMScheduler.from_pretrained(folder / "scheduler"),  # type: ignore[no-untyped-call]
            clip=CLIPModel.from_pretrained(folder / "clip", dtype=torch.float32),
            words=words,
        )

    def tokens(self, captions: list[str]) -> Tensor:
        """Token numbers, padded to the model's length."""
        found: Tensor = self.tokenizer(captions, padding="max_length", truncation=True, return_tensors="pt").input_ids
        return found

    @torch.no_grad()
    def states(self, captions: list[str]) -> Tensor:
        """Text states, [captions, tokens, width]."""
        found: Tensor = self.text(input_ids=self.tokens(captions)).last_hidden_state
        return found

    @torch.no_grad()
    def encode(self, images: Tensor) -> Tensor:
        """Scaled mean latents of pictures in [-1, 1]."""
        found: Tensor = self.autoencoder.encode(images).latent_dist.mean * self.autoencoder.config.scaling_factor
        return found

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """Pictures in [-1, 1] of scaled latents."""
        found: Tensor = self.autoencoder.decode(latents / self.autoencoder.config.scaling_factor).sample
        return found.clamp(-1, 1)

    @torch.no_grad()
    def sample(
        self, captions: list[str], *, guidance: float, timesteps: int, seed: int, factors: Tensor | None = None
    ) -> Tensor:
        """Pictures of captions, [captions, 3, 64, 64]; `factors` [captions, tokens] scale the words' attention."""
        count = len(captions)
        latents = torch.randn((count, *_LATENT), generator=torch.Generator().manual_seed(seed))
        states = torch.cat([self.states([""] * count), self.states(captions)])
        self.words.factors = None if factors is None else torch.cat([torch.ones_like(factors), factors])
        self.scheduler.set_timesteps(timesteps)
        for timestep in self.scheduler.timesteps:
            without, given = self.unet(torch.cat([latents] * 2), timestep, states).sample.chunk(2)
            latents = self.scheduler.step(without + guidance * (given - without), timestep, latents).prev_sample
        self.words.factors = None
        return self.decode(latents)

    @torch.no_grad()
    def attention(self, latents: Tensor, captions: list[str], *, timestep: int, seed: int) -> list[Tensor]:
        """The maps of every site for latents noised to a timestep."""
        noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(seed))
        noisy = self.scheduler.add_noise(latents, noise, torch.tensor([timestep]))
        self.words.maps = []
        self.unet(noisy, timestep, self.states(captions))
        maps, self.words.maps = self.words.maps, None
        return maps


def _load(kind: Any, folder: Path) -> Any:
    return kind.from_pretrained(folder, dtype=torch.float32)

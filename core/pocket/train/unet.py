"""Training the UNet and its text encoder together, on latents computed once."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import CLIPTokenizer

from core.pocket.scenes import Scene, Texture, caption
from core.pocket.train.captions import Said, factors_of, other_pattern, say
from core.pocket.train.data import Drawings
from core.pocket.train.grounding import grounding_loss, install, owners_of
from core.pocket.train.loop import Chance
from core.pocket.train.networks import load_unet, new_scheduler, new_text_encoder, new_unet, take_over, take_over_text

_PAD_ODDS: Final = 0.25  # prompts whose padding is the empty prompt's: meaning must live in the words
_OUTSIDE_WEIGHT: Final = 0.03
_MISSING_WEIGHT: Final = 0.01
_LEAK_WEIGHT: Final = 0.02
_GROUNDED_BELOW: Final = 850  # timestep; above it nothing can be seen to point at
# Shapes are decided at noisy timesteps, which the plain loss hardly sees: there the error of v-prediction counts,
# 1/ᾱ times that of ε. Half of that (its root) goes into how often a timestep is drawn, half into its weight.
_NOISE_EMPHASIS: Final = 12.0
# Scenes with a pattern are drawn this many times as often: stripes and dots are what is learned last.
_PATTERN_EMPHASIS: Final = 2.5
_MEASURED: Final = 512


@dataclass(frozen=True, slots=True)
class Encoded:
    """Drawn scenes and their latents, [n, 4, 16, 16]."""

    drawings: Drawings
    latents: Tensor


@final
class UnetTask:
    """The UNet and the text encoder as a stage of training."""

    name = "unet"
    learning_rate = 1e-3
    averaging = 0.999

    def __init__(
        self,
        scenes: Encoded,
        held_out: Encoded,
        tokenizer: CLIPTokenizer,
        *,
        batch: int,
        device: str,
        start: Path | None = None,
    ) -> None:
        unet, text = new_unet(), new_text_encoder(tokenizer)
        if start is not None:
            take_over(unet, load_unet(start / "unet").state_dict())
            take_over_text(text, tokenizer, start)
        unet.to(memory_format=torch.channels_last)
        self.model: Any = nn.ModuleDict({"unet": unet, "text": text}).to(device)
        self._recorder = install(unet)
        self._scenes, self._held_out = scenes, held_out
        odds = np.array([_PATTERN_EMPHASIS if _has_pattern(scene) else 1.0 for scene in scenes.drawings.scenes])
        self._scene_ladder = np.cumsum(odds / odds.sum())
        self._tokenizer, self._batch, self._device = tokenizer, batch, device
        self._signal = new_scheduler().alphas_cumprod  # ᾱ_t, [1000]
        emphasis = (1 / self._signal).clamp(max=_NOISE_EMPHASIS).sqrt()
        self._weight = emphasis / emphasis.mean()
        self._ladder = self._weight.cumsum(0) / self._weight.sum()

    @property
    def networks(self) -> tuple[nn.Module, ...]:
        return (self.model["unet"],)

    def loss(self, chance: Chance) -> tuple[Tensor, Mapping[str, Tensor]]:
        places = np.searchsorted(self._scene_ladder, chance.numpy.random(self._batch))
        rows = places.clip(max=len(self._scenes.drawings) - 1)
        said = [say(self._scenes.drawings.scenes[row], chance.numpy) for row in rows]
        timesteps = self._draw_timesteps(chance)
        error = self._error(self._scenes, rows, said=said, timesteps=timesteps, chance=chance)
        weight = self._weight[timesteps].to(error)
        texts = [one.text for one in said]
        outside, missing = self._grounding(rows, texts, timesteps)
        leak = self._leak(texts)
        total = (weight * error).mean() + _OUTSIDE_WEIGHT * outside + _MISSING_WEIGHT * missing + _LEAK_WEIGHT * leak
        figures = {"error": error.mean(), "outside": outside, "missing": missing, "leak": leak}
        return total, {name: value.detach() for name, value in figures.items()}

    def measure(self) -> Mapping[str, float]:
        errors: list[Tensor] = []
        for first in range(0, _MEASURED, 64):
            chance = Chance.of(0, first)
            rows = np.arange(first, first + 64)
            said = [Said(caption(self._held_out.drawings.scenes[row])) for row in rows]
            timesteps = (torch.arange(64) * 1000 + 500) // 64
            errors.append(self._error(self._held_out, rows, said=said, timesteps=timesteps, chance=chance).cpu())
        error = torch.stack(errors).mean(0)  # by timestep
        return {"held_out": error.mean().item(), "noisy": error[45:].mean().item()}

    def _draw_timesteps(self, chance: Chance) -> Tensor:
        """One from each of `batch` equal parts of the distribution."""
        places = (torch.arange(self._batch) + chance.uniform(self._batch)) / self._batch
        return torch.searchsorted(self._ladder, places).clamp(max=len(self._ladder) - 1)

    def _error(
        self,
        scenes: Encoded,
        rows: NDArray[np.int64],
        *,
        said: list[Said],
        timesteps: Tensor,
        chance: Chance,
    ) -> Tensor:
        """The squared error of the predicted noise of each row."""
        clean = scenes.latents[torch.from_numpy(rows)].to(self._device)
        noise = chance.normal(clean)
        signal = self._signal[timesteps].to(clean).view(-1, 1, 1, 1)
        noisy = signal.sqrt() * clean + (1 - signal).sqrt() * noise
        self._recorder.maps.clear()
        factors = factors_of(said, self._tokenizer.model_max_length)
        self._recorder.factors = None if factors is None else factors.to(self._device)
        states = self._states([one.text for one in said], chance)
        predicted: Tensor = self.model["unet"](noisy, timesteps.to(self._device), states).sample
        return (predicted.float() - noise).square().mean((1, 2, 3))

    def _states(self, captions: list[str], chance: Chance) -> Tensor:
        """Text states, [rows, tokens, width]; while training, some rows have the empty prompt's after their end."""
        tokens = tokenize(self._tokenizer, [*captions, ""]).to(self._device)
        states: Tensor = self.model["text"](input_ids=tokens).last_hidden_state
        if not self.model.training:
            return states[:-1]
        ends = (tokens[:-1] == self._tokenizer.eos_token_id).int().argmax(-1, keepdim=True)
        padding = torch.arange(tokens.shape[1], device=self._device) > ends
        chosen = (chance.uniform(len(captions), 1) < _PAD_ODDS).to(self._device) & padding
        return torch.where(chosen[..., None], states[-1:], states[:-1])

    def _leak(self, captions: list[str]) -> Tensor:
        """How much the states of all other tokens change with a pattern's word, as a share of its own state's change.

        The text encoder lets every later word know of a pattern; what is trained away here the UNet cannot read there.
        """
        changed = {text: other for text in captions if (other := other_pattern(text)) is not None}
        if not changed:
            return torch.zeros((), device=self._device)
        tokens = tokenize(self._tokenizer, [*changed, *(text for text, _ in changed.values())]).to(self._device)
        before, after = self.model["text"](input_ids=tokens).last_hidden_state.chunk(2)
        moved = (before - after).square().sum(-1)  # [captions, tokens]
        own = moved.gather(1, torch.tensor([[place + 1] for _, place in changed.values()], device=self._device))
        leak: Tensor = ((moved.sum(1, keepdim=True) - own) / own).mean()
        return leak

    def _grounding(self, rows: NDArray[np.int64], captions: list[str], timesteps: Tensor) -> tuple[Tensor, Tensor]:
        owners = owners_of(captions, self._tokenizer.model_max_length).to(self._device)
        regions = self._scenes.drawings.regions[torch.from_numpy(rows)].to(self._device)
        weight = (timesteps < _GROUNDED_BELOW).float().to(self._device)
        return grounding_loss(self._recorder.maps, owners=owners, regions=regions, weight=weight)


def _has_pattern(scene: Scene) -> bool:
    return any(thing.texture is not Texture.PLAIN for thing in scene.objects)


def tokenize(tokenizer: Any, captions: list[str]) -> Tensor:
    """Token numbers, [captions, 32]."""
    tokens: Tensor = tokenizer(
        captions, padding="max_length", max_length=tokenizer.model_max_length, truncation=True, return_tensors="pt"
    ).input_ids
    return tokens

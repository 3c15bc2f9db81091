"""The reference loop: StyleDiffusion and P2Plus one job at a time, written from the paper and its released defaults.

It shares nothing with the engine: its own UNet, attention, schedule and mapping network. What the released code wastes
is a habit that can be left out.
Source: Li et al. 2023, arXiv 2303.15649, algorithm 1 and section 3.4.
"""

import copy
import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import UNet2DConditionModel
from PIL import Image
from torch import Tensor, nn
from transformers import CLIPVisionModelWithProjection

from core.evaluation._pixels import Rgb
from core.evaluation.engine_benchmark.reference_attention import Layer, Stage, install
from core.evaluation.engine_benchmark.reference_network import mapping_network
from core.evaluation.engine_benchmark.tasks import Budget, Windows


@final
@dataclass(frozen=True, slots=True)
class Habits:
    """What the released code does though nothing needs it.

    Args:
        weight_gradients: the UNet's weights are not frozen, so their gradients are computed and collected.
        repeated_features: the image encoder runs inside every cross-attention layer.
    """

    weight_gradients: bool
    repeated_features: bool


RELEASED = Habits(weight_gradients=True, repeated_features=True)
FROZEN = Habits(weight_gradients=False, repeated_features=False)


@final
@dataclass(frozen=True, slots=True, eq=False)
class Photo:
    """A picture with its sentence: latent [c, h, w], text embeddings [tokens, width]."""

    picture: Rgb
    latent: Tensor
    text: Tensor
    null: Tensor


@final
@dataclass(slots=True, eq=False)
class Fitted:
    """A network and the last loss of every timestep, the path from z_T to z_0, and the inner steps taken."""

    photo: Photo
    path: list[Tensor]
    networks: list[nn.Module] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    inner_steps: int = 0


@final
class ReferenceLoop:
    """One model under one set of habits; `forwards` counts rows of the UNet."""

    def __init__(self, folder: Path, habits: Habits, *, device: str, dtype: torch.dtype) -> None:
        """Loads a folder in diffusers layout; the UNet runs in `dtype`, latents keep their own precision."""
        self._habits = habits
        self.forwards = 0
        self._dtype = dtype
        kind: Any = UNet2DConditionModel  # diffusers has no types for its constructors
        self._unet = kind.from_pretrained(folder / "unet", dtype=dtype).to(device)
        self._unet.eval().requires_grad_(habits.weight_gradients)
        vision = CLIPVisionModelWithProjection.from_pretrained(folder / "image_encoder", dtype=torch.float32)
        self._vision: Any = vision.to(device).eval().requires_grad_(False)  # type: ignore[arg-type]
        self._preprocessing = json.loads((folder / "feature_extractor" / "preprocessor_config.json").read_text())
        config = json.loads((folder / "scheduler" / "scheduler_config.json").read_text())
        ends = config["beta_start"] ** 0.5, config["beta_end"] ** 0.5
        self._alphas = (1 - torch.linspace(*ends, 1000, dtype=torch.float64) ** 2).cumprod(0)
        self._offset = int(config["steps_offset"])
        self._stage = Stage()
        self._half_pixels = (self._unet.config.sample_size // 2) ** 2
        install(self._unet, self._stage)

    def invert(self, photo: Photo, budget: Budget, *, seed: int) -> Fitted:
        """DDIM inversion, then a mapping network per timestep, each fitted from where the one before ended."""
        trace, maps = self._trace(photo, budget.timesteps)
        steps, stride = self._timesteps(budget.timesteps), 1000 // budget.timesteps
        fitted = Fitted(photo, [trace[-1]])
        network = mapping_network(self._features(photo.picture), photo.text, seed=seed)
        for index, timestep in enumerate(steps):
            network = copy.deepcopy(network)
            wanted = maps[min(budget.timesteps - index, budget.timesteps - 1)]
            self._fit(network, fitted, timestep, budget=budget, target=trace[-2 - index], wanted=wanted)
            fitted.networks.append(network)
            with torch.no_grad():
                output = self._guided(network, fitted, timestep, guidance=budget.guidance)
            fitted.path.append(self._move(fitted.path[-1], output, here=timestep, there=timestep - stride))
        return fitted

    @torch.no_grad()
    def edit(self, fitted: Fitted, target: Tensor, windows: Windows, *, guidance: float) -> Tensor:
        """P2Plus for prompts whose words stand in the same places: both pictures, both branches, every timestep."""
        count, latents = len(fitted.networks), torch.stack([fitted.path[0]] * 2)
        steps, stride = self._timesteps(count), 1000 // count
        for index, timestep in enumerate(steps):
            null = torch.stack([fitted.photo.null] * 2)
            swap = index < int(windows.uncond * count)
            unconditional = self._predict(latents, timestep, null, edit=self._swap(self_attention=swap, cross=False))
            learned = math.ceil(windows.value * count) > index
            texts = torch.stack([fitted.photo.text, target])
            value_input = self._value_input(fitted.networks[index], fitted.photo, learned=learned)
            edit = self._swap(
                self_attention=index < int(windows.self_ * count), cross=index < int(windows.cross * (count + 1))
            )
            conditional = self._predict(latents, timestep, texts, value_input=value_input, edit=edit)
            output = unconditional + guidance * (conditional - unconditional)
            latents = self._move(latents, output, here=timestep, there=timestep - stride)
        return latents[1]

    def _fit(
        self,
        network: nn.Module,
        fitted: Fitted,
        timestep: int,
        *,
        budget: Budget,
        target: Tensor,
        wanted: dict[Layer, Tensor],
    ) -> None:
        index, latent, photo = len(fitted.losses), fitted.path[-1], fitted.photo
        value_input, there = self._value_input(network, photo, learned=True), timestep - 1000 // budget.timesteps
        optimiser = torch.optim.Adam(network.parameters(), lr=budget.learning_rate * (1 - index / 100))
        with torch.no_grad():
            null = self._predict(latent[None], timestep, photo.null[None])
        value = math.nan
        for _ in range(budget.inner_steps(index)):
            conditional = self._predict(latent[None], timestep, photo.text[None], value_input=value_input)
            guided = null + budget.guidance * (conditional - null)
            arrived = self._move(latent[None], guided, here=timestep, there=there)
            loss = F.mse_loss(arrived[0], target) + self._attention_loss(wanted)
            optimiser.zero_grad()
            torch.autograd.backward(loss)
            optimiser.step()
            fitted.inner_steps += 1
            value = loss.item()
            if value < budget.enough(index):
                break
        fitted.losses.append(value)

    def _attention_loss(self, wanted: dict[Layer, Tensor]) -> Tensor:
        """How far the last call's maps are from those of DDIM inversion, summed over layers."""
        seen = self._stage.word_maps()
        return torch.stack([F.mse_loss(seen[layer].to(maps), maps) for layer, maps in wanted.items()]).sum()

    @torch.no_grad()
    def _trace(self, photo: Photo, count: int) -> tuple[list[Tensor], list[dict[Layer, Tensor]]]:
        trace, maps = [photo.latent], list[dict[Layer, Tensor]]()
        steps, stride = self._timesteps(count), 1000 // count
        for timestep in reversed(steps):
            output = self._predict(trace[-1][None], timestep, photo.text[None])[0]
            maps.append({layer: one.to(photo.latent) for layer, one in self._stage.word_maps().items()})
            trace.append(self._move(trace[-1], output, here=timestep - stride, there=timestep))
        return trace, maps

    def _guided(self, network: nn.Module, fitted: Fitted, timestep: int, *, guidance: float) -> Tensor:
        """Both branches, though the unconditional one is known."""
        latent, photo = fitted.path[-1][None], fitted.photo
        null = self._predict(latent, timestep, photo.null[None])[0]
        value_input = self._value_input(network, photo, learned=True)
        conditional = self._predict(latent, timestep, photo.text[None], value_input=value_input)[0]
        return null + guidance * (conditional - null)

    def _value_input(self, network: nn.Module, photo: Photo, *, learned: bool) -> Callable[[Tensor], Tensor]:
        """Rows of text to rows of value input; the second row is an edit's target, which may keep its text."""
        kept = None if self._habits.repeated_features else self._features(photo.picture)

        def make(texts: Tensor) -> Tensor:
            features = self._features(photo.picture) if kept is None else kept
            scale, shift = network(features[None].to(photo.latent))[0].chunk(2)
            values = texts * (1 + scale) + shift
            return (values if learned else torch.cat([values[:1], texts[1:]])).to(self._dtype)

        return make

    def _predict(
        self,
        latents: Tensor,
        timestep: int,
        texts: Tensor,
        *,
        value_input: Callable[[Tensor], Tensor] | None = None,
        edit: Callable[[Tensor, Layer], Tensor] | None = None,
    ) -> Tensor:
        self.forwards += len(latents)
        self._stage.value_input, self._stage.edit, self._stage.maps = value_input, edit, {}
        output: Tensor = self._unet(latents.to(self._dtype), timestep, texts.to(self._dtype)).sample
        return output.to(latents)

    def _swap(self, *, self_attention: bool, cross: bool) -> Callable[[Tensor, Layer], Tensor]:
        """The target's maps become the source's: across words everywhere, across places on the smaller grids."""

        def edit(maps: Tensor, layer: Layer) -> Tensor:
            small = not layer.cross and maps.shape[2] <= self._half_pixels
            swapped = cross if layer.cross else self_attention and small
            return maps[:1].expand_as(maps).clone() if swapped else maps

        return edit

    @torch.no_grad()
    def _features(self, picture: Rgb) -> Tensor:
        side = self._vision.config.image_size
        resized = np.asarray(Image.fromarray(picture).resize((side, side), Image.Resampling.BICUBIC))
        unit = torch.from_numpy(resized.copy()).to(self._vision.device).float() / 255
        mean, std = (torch.tensor(self._preprocessing[name]).to(unit) for name in ("image_mean", "image_std"))
        tower = self._vision.vision_model
        hidden = tower(((unit - mean) / std).permute(2, 0, 1)[None]).last_hidden_state
        features: Tensor = tower.post_layernorm(hidden)[0]
        return features

    def _timesteps(self, count: int) -> list[int]:
        """The T timesteps, the noisiest first."""
        return [n * (1000 // count) + self._offset for n in reversed(range(count))]

    def _move(self, latents: Tensor, output: Tensor, *, here: int, there: int) -> Tensor:
        """The deterministic DDIM update between two noise levels."""
        now, then = (float(self._alphas[max(timestep, 0)]) for timestep in (here, there))
        clean = (latents - math.sqrt(1 - now) * output) / math.sqrt(now)
        return math.sqrt(then) * clean + math.sqrt(1 - then) * output

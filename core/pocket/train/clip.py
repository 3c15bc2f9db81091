"""Training the CLIP: pictures against captions, and every patch against what was drawn there.

A small vision transformer learns colours from captions within minutes and shapes hardly ever. The drawing knows
which object covers which patch, so each patch token is also asked what it belongs to, and the whole what it holds.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import CLIPTokenizer

from core.pocket.judge import LOOKS, MOST_OBJECTS
from core.pocket.scenes import VALUES, Attribute, caption
from core.pocket.train.data import Drawings
from core.pocket.train.judge import UNKNOWN, label
from core.pocket.train.loop import Chance
from core.pocket.train.networks import TEXT_WIDTH, new_clip, take_over_clip
from core.pocket.train.unet import tokenize

_REGIONS: Final = 3  # read as one object, left of two, right of two
_OF_OBJECTS: Final = (Attribute.SHAPE, Attribute.COLOUR, Attribute.TEXTURE, Attribute.SIZE)
_PATCHES: Final = 8
_COVERED: Final = 0.3  # share of a patch from which on it is taken to show the object
_WHOLE_WEIGHT: Final = 0.3
_PATCH_WEIGHT: Final = 1.0
_MEASURED: Final = 256


@final
class ClipTask:
    """The CLIP as a stage of training; the reading heads are scaffolding and not exported."""

    name = "clip"
    learning_rate = 1e-3
    averaging = 0.995

    def __init__(
        self,
        drawings: Drawings,
        held_out: Drawings,
        tokenizer: CLIPTokenizer,
        *,
        batch: int,
        device: str,
        start: Path | None = None,
    ) -> None:
        sizes = {attribute: len(tuple(VALUES[attribute])) for attribute in _OF_OBJECTS}
        whole = {str(one): nn.Linear(TEXT_WIDTH, _REGIONS * size) for one, size in sizes.items()}
        whole["count"] = nn.Linear(TEXT_WIDTH, MOST_OBJECTS + 1)
        whole["background"] = nn.Linear(TEXT_WIDTH, len(VALUES[Attribute.BACKGROUND]))
        whole["style"] = nn.Linear(TEXT_WIDTH, len(LOOKS))
        patch = {str(one): nn.Linear(TEXT_WIDTH, size + 1) for one, size in sizes.items()}  # one more: no object
        clip = new_clip(tokenizer)
        if start is not None and (start / "clip").is_dir():
            take_over_clip(clip, tokenizer, start)
        modules = {"clip": clip, "whole": nn.ModuleDict(whole), "patch": nn.ModuleDict(patch)}
        self.model: Any = nn.ModuleDict(modules).to(device)
        self._tokenizer, self._batch, self._device = tokenizer, batch, device
        self._drawings, self._held_out = drawings, held_out
        self._labels, self._held_out_labels = label(drawings.scenes), label(held_out.scenes)
        self._patches = _patch_labels(drawings, self._labels)

    @property
    def networks(self) -> tuple[nn.Module, ...]:
        return (self.model["clip"].vision_model, self.model["clip"].text_model)

    def loss(self, chance: Chance) -> tuple[Tensor, Mapping[str, Tensor]]:
        rows = chance.numpy.integers(len(self._drawings), size=self._batch)
        captions = [caption(self._drawings.scenes[row], chance.numpy) for row in rows]
        states, pictures, sentences = self._embed(self._drawings.pixels(rows), captions)
        scores = self.model["clip"].logit_scale.exp().clamp(max=50) * pictures @ sentences.T
        partner = torch.arange(len(rows), device=scores.device)
        match = (F.cross_entropy(scores, partner) + F.cross_entropy(scores.T, partner)) / 2
        index = torch.from_numpy(rows)
        whole = self._read_whole(states, {name: truth[index] for name, truth in self._labels.items()})
        patch = self._read_patches(states, {name: truth[index] for name, truth in self._patches.items()})
        total = match + _WHOLE_WEIGHT * whole + _PATCH_WEIGHT * patch
        return total, {"match": match.detach(), "whole": whole.detach(), "patch": patch.detach()}

    def measure(self) -> Mapping[str, float]:
        rows = slice(_MEASURED)
        captions = [caption(scene) for scene in self._held_out.scenes[rows]]
        states, pictures, sentences = self._embed(self._held_out.pixels(rows), captions)
        found = (pictures @ sentences.T).argmax(-1).cpu()
        right = {"recall": (found == torch.arange(len(found))).float().mean().item()}
        pooled = self.model["clip"].vision_model.post_layernorm(states[:, 0])
        for name, head in self.model["whole"].items():
            truth = self._held_out_labels[name][rows].flatten()
            asked = truth != UNKNOWN
            guess = _by_region(head(pooled), truth).argmax(-1).cpu()
            right[name] = (guess == truth)[asked].float().mean().item()
        return right

    def _embed(self, images: Tensor, captions: list[str]) -> tuple[Tensor, Tensor, Tensor]:
        """Vision states [n, 1 + patches, width], and the two embeddings [n, 64] of length one."""
        clip = self.model["clip"]
        vision = clip.vision_model(pixel_values=images.to(self._device))
        text = clip.text_model(input_ids=tokenize(self._tokenizer, captions).to(self._device))
        pictures = F.normalize(clip.visual_projection(vision.pooler_output), dim=-1)
        return vision.last_hidden_state, pictures, F.normalize(clip.text_projection(text.pooler_output), dim=-1)

    def _read_whole(self, states: Tensor, labels: dict[str, Tensor]) -> Tensor:
        pooled = self.model["clip"].vision_model.post_layernorm(states[:, 0])
        losses = []
        for name, head in self.model["whole"].items():
            truth = labels[name].flatten().to(states.device)
            losses.append(F.cross_entropy(_by_region(head(pooled), truth), truth))
        return torch.stack(losses).sum()

    def _read_patches(self, states: Tensor, labels: dict[str, Tensor]) -> Tensor:
        losses = []
        for name, head in self.model["patch"].items():
            truth = labels[name].to(states.device)
            losses.append(F.cross_entropy(head(states[:, 1:]).flatten(0, 1), truth.flatten()))
        return torch.stack(losses).mean()


def _by_region(scores: Tensor, truth: Tensor) -> Tensor:
    """Scores [n, regions·values] as one row for each label asked."""
    return scores.reshape(len(truth), -1)


def _patch_labels(drawings: Drawings, labels: dict[str, Tensor]) -> dict[str, Tensor]:
    """For each patch the value of the object that covers it, the number of values where none does, [n, 64]."""
    shares = F.adaptive_avg_pool2d(torch.from_numpy(np.asarray(drawings.masks)).float() / 255, _PATCHES).flatten(2)
    most, owner = shares.max(1)  # [n, patches]
    pairs = labels["count"][:, None] == MOST_OBJECTS
    region = torch.where(pairs, owner + 1, torch.zeros_like(owner))
    found: dict[str, Tensor] = {}
    for attribute in _OF_OBJECTS:
        values = labels[attribute].gather(1, region)
        found[attribute] = torch.where(most > _COVERED, values, torch.full_like(values, len(tuple(VALUES[attribute]))))
    return found

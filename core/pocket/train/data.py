"""Scenes drawn once and kept on disk, so that no training step waits for a picture."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.pocket.backgrounds import SIDE
from core.pocket.render import render
from core.pocket.scenes import Scene, sample_scene
from core.pocket.train.progress import Track

HELD_OUT_SEED: Final = 1_000_003  # far from any training seed
HELD_OUT: Final = 2048
_MOST_OBJECTS: Final = 2
_LATENT_FACTOR: Final = 4


@dataclass(frozen=True)
class Drawings:
    """Drawn scenes: `images` uint8 [n, 64, 64, 3]; `masks` uint8 [n, 2, 16, 16], objects' shares of latent cells."""

    scenes: tuple[Scene, ...]
    images: NDArray[np.uint8]
    masks: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.scenes)

    def pixels(self, rows: NDArray[np.int64] | slice) -> Tensor:
        """Pictures as networks take them: float [rows, 3, 64, 64] in [-1, 1]."""
        picked = torch.from_numpy(np.ascontiguousarray(self.images[rows]))
        return picked.permute(0, 3, 1, 2).float() / 127.5 - 1

    @cached_property
    def regions(self) -> Tensor:
        """Shares of each latent cell, float [n, 3, 16, 16]: first object, second object, background."""
        objects = torch.from_numpy(np.asarray(self.masks)).float() / 255
        return torch.cat([objects, (1 - objects.sum(1, keepdim=True)).clamp(0, 1)], dim=1)


def scene_at(seed: int, index: int) -> Scene:
    """The scene with this number in the stream of a seed."""
    return sample_scene(np.random.default_rng([seed, index]))


def draw(seed: int, count: int, *, track: Track | None = None) -> Drawings:
    """Draw the first `count` scenes of a seed's stream."""
    images = np.empty((count, SIDE, SIDE, 3), np.uint8)
    cells = SIDE // _LATENT_FACTOR
    masks = np.zeros((count, _MOST_OBJECTS, cells, cells), np.uint8)
    scenes = tuple(scene_at(seed, index) for index in range(count))
    for index, scene in enumerate(scenes):
        drawn = render(scene)
        images[index] = drawn.image
        shares = drawn.masks.reshape(-1, cells, _LATENT_FACTOR, cells, _LATENT_FACTOR).mean((2, 4))
        masks[index, : len(shares)] = np.round(shares * 255)
        if track is not None:
            track(index + 1)
    return Drawings(scenes, images, masks)


def load_or_draw(folder: Path, *, seed: int, count: int, track: Track | None = None) -> Drawings:
    """The drawings kept in `folder`, drawn first where they are not there yet."""
    images, masks = folder / f"images-{seed}-{count}.npy", folder / f"masks-{seed}-{count}.npy"
    if not masks.exists():
        folder.mkdir(parents=True, exist_ok=True)
        drawn = draw(seed, count, track=track)
        np.save(images, drawn.images)
        np.save(masks, drawn.masks)
    scenes = tuple(scene_at(seed, index) for index in range(count))
    return Drawings(scenes, np.load(images), np.load(masks))

"""Edits as a caller asks for them, on the packaged model with few timesteps, and what the judge reads of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, final

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from core.domain.edit_parts import EditMethod
from core.domain.edit_specs import resolve_edit
from core.domain.inversion_specs import NegativePromptSpec
from core.domain.specs import Fit, Output
from core.domain.studio import Finished
from core.images import Image, read_image, to_png
from core.pocket.grids import pixels_of
from core.pocket.judge import Judge, Reading
from core.pocket.render import render
from core.pocket.scenes import Background, Colour, Scene, SceneObject, Shape, Size, Texture, caption
from core.studio import ModelStudio

CIRCLE = Scene(Background.GRASS, (SceneObject(Shape.CIRCLE, Colour.RED, Texture.PLAIN, Size.LARGE),))
SIDE = 64  # pixels of a drawn scene
_TIMESTEPS = 8


def photo(scene: Scene = CIRCLE, size: tuple[int, int] = (SIDE, SIDE)) -> Image:
    """The scene drawn, and stretched to a width and a height."""
    drawn = PIL.Image.fromarray(render(scene).image)
    return np.asarray(drawn.resize(size, PIL.Image.Resampling.BICUBIC))


def object_mask(scene: Scene = CIRCLE) -> NDArray[np.bool_]:
    """Where the scene's object truly is, [64, 64]."""
    mask: NDArray[np.bool_] = render(scene).masks[0] > 0
    return mask


def as_image(plane: NDArray[np.bool_]) -> bytes:
    """A mask as a caller sends it."""
    return to_png(np.repeat(plane[..., None], 3, axis=2).astype(np.uint8) * 255)


@final
@dataclass(frozen=True)
class Edit:
    """A result: its picture, and all that is told of it."""

    picture: Image
    finished: Finished


@final
@dataclass(frozen=True, eq=False)
class Bench:
    """One studio and one judge."""

    studio: ModelStudio
    judge: Judge

    @cache  # noqa: B019 - one bench lives as long as the tests
    def inverted(self, png: bytes, prompt: str, fit: Fit = Fit.CROP) -> bytes:
        """The inversion's file."""
        spec = NegativePromptSpec(timesteps=_TIMESTEPS, guidance=3.0)
        finished = self.studio.invert(png, prompt, spec, fit=fit, seed=0, observe=lambda _: None, resume=None)
        return next(file.data for file in finished.files if file.name == "inversion")

    def edit(
        self,
        target: str,
        *,
        method: str = "p2plus",
        picture: Image | None = None,
        prompt: str = caption(CIRCLE),
        fit: Fit = Fit.CROP,
        images: Mapping[str, bytes] | None = None,
        **parameters: Any,
    ) -> Edit:
        """The picture edited by the public specification, at its own size."""
        png = to_png(photo() if picture is None else picture)
        finished = self.studio.edit(
            self.inverted(png, prompt, fit),
            png,
            target,
            spec=resolve_edit(EditMethod(method), parameters),
            output=Output.ORIGINAL,
            seed=0,
            images=images or {},
            observe=lambda _: None,
            resume=None,
        )
        return Edit(read_image(finished.files[0].data), finished)

    def read(self, edit: Edit) -> Reading:
        """What the judge takes a result to be."""
        (reading,) = self.judge.read(pixels_of([edit.picture]))
        return reading

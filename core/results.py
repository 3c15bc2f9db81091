"""From what the solvers return to what a caller gets: pictures, measurements, warnings."""

from dataclasses import dataclass
from typing import Any, final

import numpy as np
import numpy.typing as npt
import torch

from core.diffusion.backbone import Backbone
from core.diffusion.editing.subject import Edited, EditSubject
from core.diffusion.inversion.artifact import Header, pack_inversion
from core.diffusion.inversion.inversion import Inversion
from core.diffusion.inversion.trace import Subject
from core.domain.catalogue import Model
from core.domain.errors import ComputeError, ErrorCode
from core.domain.prompts import Prompt
from core.domain.specs import Output
from core.domain.studio import File, Finished
from core.evaluation.psnr import psnr
from core.evaluation.quality import Evaluator
from core.evaluation.region import edit_region
from core.images import Image, fit_square, place_back, to_png
from core.masks import Plane, enlarge, fit_plane
from core.pictures import attention_sheet

_SAFETENSORS = "application/octet-stream"
# 99 of 100 drawn scenes come back better from the pocket model's autoencoder; photographs seldom do.
_OWN_WORLD_PSNR = 27.3
# Below this, outside the measured region, a person sees that the background changed.
_KEPT_PSNR = 22.0


@final
@dataclass(frozen=True, slots=True, eq=False)
class InversionResult:
    """A finished inversion and what it was made from; `resized` tells that the picture had another size."""

    square: Image
    resized: bool
    source: Prompt
    subject: Subject
    inversion: Inversion
    header: Header


@final
@dataclass(frozen=True, slots=True, eq=False)
class EditResult:
    """A finished edit and what it was made from.

    Args:
        original: the caller's picture at its own size.
        subject: what the editor was given.
        header: of the inversion.
        edited: what the editor returned.
        inside: where a caller's mask lets the edit act, at the picture's own size.
    """

    original: Image
    subject: EditSubject
    header: Header
    edited: Edited
    inside: Plane | None = None

    def within(self, size: int) -> Plane:
        """Where the edit may act, in the model's square."""
        if self.inside is not None:
            return fit_plane(self.inside, size, fit=self.header.fit)
        cells = self.subject.region
        return np.ones((size, size), np.bool_) if cells is None else enlarge(cells.cpu().numpy(), size)


@final
class Results:
    """Decodes, measures and packs results of one model."""

    def __init__(self, model: Model, backbone: Backbone, evaluator: Evaluator) -> None:
        self._model = model
        self._backbone = backbone
        self._evaluator = evaluator

    def of_inversion(self, result: InversionResult) -> Finished:
        """The reconstruction, where each word acts, and the inversion as a file."""
        reconstruction = self._decode(result.inversion.path[-1])
        autoencoded = self._decode(result.subject.latent)
        quality = self._evaluator.inversion_quality(result.square, autoencoded, reconstruction)
        return Finished(
            files=(
                _picture("reconstruction", reconstruction),
                _picture("attention", _attention(result)),
                File(name="inversion", media_type=_SAFETENSORS, data=pack_inversion(result.inversion, result.header)),
            ),
            result={"quality": quality.as_json(), "words": list(result.source.words)},
            warnings=self._foreign(result, autoencoded),
        )

    def of_edit(self, result: EditResult, *, output: Output, seed: int) -> Finished:
        """The edited picture, the region it changed, and its quality."""
        square, placement = fit_square(result.original, self._backbone.resolution, fit=result.header.fit)
        edited, reconstruction = self._decode(result.edited.latent), self._decode(result.subject.inversion.path[-1])
        changed = edit_region(reconstruction, edited)
        region = changed * result.within(len(changed))
        prompts = {"source_prompt": result.header.prompt, "target_prompt": result.subject.target.prompt.text}
        quality = self._evaluator.edit_quality(square, reconstruction, edited, region=changed, **prompts).as_json()
        picture = edited
        if output is Output.ORIGINAL:
            # A caller's mask has a border of its own, at which nothing fades.
            soft = region if result.inside is None else changed
            picture = place_back(result.original, edited, soft, placement=placement, inside=result.inside)
        return Finished(
            files=(_picture("image", picture), _picture("mask", _grey(region))),
            result={
                "quality": quality,
                "plan": dict(result.edited.plan),
                "width": picture.shape[1],
                "height": picture.shape[0],
                "seed": seed,
            },
            warnings=_edit_warnings(region, quality),
        )

    def _decode(self, latent: torch.Tensor) -> Image:
        if not torch.isfinite(latent).all():
            raise ComputeError(ErrorCode.DIVERGED, "The optimisation diverged; try a lower learning_rate or guidance.")
        return self._backbone.decode(latent)

    def _foreign(self, result: InversionResult, autoencoded: Image) -> tuple[str, ...]:
        """The limits of a model that has told them, where a picture does not look like one of its own."""
        kept = psnr(result.square, autoencoded)
        if not self._model.notice or (kept >= _OWN_WORLD_PSNR and not result.resized):
            return ()
        told = f"This image may lie outside what the model {self._model.name} knows; "
        return (f"{told}its autoencoder alone gives it back at {kept:.1f} dB. {self._model.notice}",)


def _attention(result: InversionResult) -> Image:
    word_maps = result.inversion.word_maps
    side = int(len(word_maps) ** 0.5)
    maps = word_maps.T.reshape(-1, side, side).cpu().numpy()
    per_word = [maps[list(places)].sum(0) for places in result.source.word_positions]
    return attention_sheet(result.square, result.source.words, np.array(per_word, np.float32).reshape(-1, side, side))


def _edit_warnings(region: npt.NDArray[np.float32], quality: dict[str, Any]) -> tuple[str, ...]:
    if not region.any():
        return ("The edit is not visible: nothing differs from the reconstruction. Lower the windows, or reword.",)
    background = quality.get("background_psnr")
    if background is not None and background < _KEPT_PSNR:
        return (f"The background was not kept: {background:.1f} dB outside the edited region.",)
    return ()


def _picture(name: str, image: Image) -> File:
    return File(name=name, media_type="image/png", data=to_png(image))


def _grey(mask: npt.NDArray[np.float32]) -> Image:
    return np.repeat((mask * 255).round().astype(np.uint8)[..., None], 3, axis=2)

"""From what the solvers return to what a caller gets: pictures, measurements, warnings."""

from collections.abc import Sequence
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
from core.domain.variants import Candidate, Variety
from core.evaluation.psnr import psnr
from core.evaluation.quality import Evaluator
from core.evaluation.ranking import FORMULA, score
from core.evaluation.region import edit_region
from core.images import Image, fading, fit_square, place_back, to_png
from core.masks import Plane, enlarge, fit_plane, grow
from core.pictures import attention_sheet

_SAFETENSORS = "application/octet-stream"
# 99 of 100 drawn scenes come back better from the pocket model's autoencoder; photographs seldom do.
_OWN_WORLD_PSNR = 27.3
# Below this, outside the measured region, a person sees that the background changed.
_KEPT_PSNR = 22.0
_UNRANKED = "The results are not ranked: this deployment has no CLIP to tell which shows what was asked for."


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
class EditInput:
    """What an edit, or several of one wish, were made from.

    Args:
        original: the caller's picture at its own size.
        subject: what the editors were given.
        header: of the inversion.
        inside: where a caller's mask lets the edit act, at the picture's own size.
    """

    original: Image
    subject: EditSubject
    header: Header
    inside: Plane | None

    def within(self, size: int) -> Plane:
        """Where the edit may act, in the model's square."""
        if self.inside is not None:
            return fit_plane(self.inside, size, fit=self.header.fit)
        cells = self.subject.region
        return np.ones((size, size), np.bool_) if cells is None else enlarge(cells.cpu().numpy(), size)


@final
@dataclass(frozen=True, slots=True, eq=False)
class EditResult:
    """What one setting has come to."""

    candidate: Candidate
    edited: Edited


@final
@dataclass(frozen=True, slots=True, eq=False)
class _Shown:
    """A result as pictures and figures; `quality` is part of `told`."""

    picture: Image
    mask: Image
    quality: dict[str, Any]
    told: dict[str, Any]
    warnings: tuple[str, ...]

    def files(self, suffix: str = "") -> tuple[File, ...]:
        return _picture(f"image{suffix}", self.picture), _picture(f"mask{suffix}", self.mask)


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

    def of_edits(
        self, given: EditInput, results: Sequence[EditResult], *, output: Output, variety: Variety
    ) -> Finished:
        """The edited picture, the region it changed, and its quality; of several, ranked."""
        shown = [self._show(given, result, output) for result in results]
        if not variety.several:
            (only,) = shown
            return Finished(files=only.files(), result=only.told, warnings=only.warnings)
        return _ranked(shown, [one.candidate for one in results], keep=variety.kept)

    def _show(self, given: EditInput, result: EditResult, output: Output) -> _Shown:
        square, placement = fit_square(given.original, self._backbone.resolution, fit=given.header.fit)
        edited, reconstruction = self._decode(result.edited.latent), self._decode(given.subject.unedited)
        changed = edit_region(reconstruction, edited)
        region = changed * given.within(len(changed))
        prompts = {"source_prompt": given.subject.source.prompt.text, "target_prompt": given.subject.target.prompt.text}
        quality = self._evaluator.edit_quality(square, reconstruction, edited, region=changed, **prompts).as_json()
        picture = edited
        if output is Output.ORIGINAL:
            laid_over = with_rim(changed)
            region = laid_over * given.within(len(changed))
            # A caller's mask has a border of its own, at which nothing fades.
            soft = region if given.inside is None else laid_over
            picture = place_back(given.original, edited, soft, placement=placement, inside=given.inside)
        told = {
            "quality": quality,
            "plan": dict(result.edited.plan),
            "width": picture.shape[1],
            "height": picture.shape[0],
            "seed": result.candidate.seed,
        }
        return _Shown(picture, _grey(region), quality, told, _edit_warnings(region, quality))

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


def with_rim(changed: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The measured region, and around it where the edit fades in.

    Faded in inside of it, an outline of what stood there before would stay.
    """
    return grow(changed > 0, 2 * fading(len(changed))).astype(np.float32)


def _ranked(shown: Sequence[_Shown], chosen: Sequence[Candidate], *, keep: int) -> Finished:
    """The best pictures in order, and of every candidate its setting, quality and score; the first is the result."""
    scores = score([one.quality for one in shown])
    order = range(len(shown)) if scores is None else sorted(range(len(shown)), key=lambda n: -scores[n])
    best = shown[order[0]]
    listed: list[dict[str, Any]] = []
    files: list[File] = []
    for rank, n in enumerate(order, start=1):
        suffix = "" if rank == 1 else f"_{rank}"
        files += shown[n].files(suffix) if rank <= keep else ()
        listed.append(
            {
                "rank": None if scores is None else rank,
                "score": None if scores is None else scores[n],
                "image": f"image{suffix}" if rank <= keep else None,
                "mask": f"mask{suffix}" if rank <= keep else None,
                "parameters": chosen[n].spec.model_dump(mode="json"),
                **{name: shown[n].told[name] for name in ("seed", "quality", "plan")},
            }
        )
    unranked = () if scores is not None else (_UNRANKED,)
    told = {**best.told, "candidates": listed, "score": FORMULA}
    return Finished(files=tuple(files), result=told, warnings=(*best.warnings, *unranked))


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

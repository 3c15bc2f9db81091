"""What a job tells about its result: every measured number, the network behind it, and what could not be measured."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final, Generic, TypeVar, final

from core.domain.catalogue import Model
from core.domain.errors import InputError
from core.evaluation._networks import Lazy, Named, network_name
from core.evaluation._pixels import EmptyRegionError, Plane, Rgb
from core.evaluation.clip_score import ClipPair, clip_score, clip_score_hessel
from core.evaluation.lpips import Perceptual
from core.evaluation.mse import mse
from core.evaluation.ns_lpips import ns_lpips
from core.evaluation.psnr import psnr
from core.evaluation.ssim import ssim
from core.evaluation.structure_distance import KeyEncoder, Scale, structure_distance

Network = TypeVar("Network", bound=Named)

_SOURCE: Final = "against the source"
_AUTOENCODED: Final = "against the autoencoder's own output of the source"
_RECONSTRUCTION: Final = "against the reconstruction"
_OUTSIDE: Final = "outside the measured region"


@final
@dataclass(frozen=True, slots=True)
class Quality:
    """Measured values; every one is finite.

    `basis` says what a value compares, `backbones` names the network behind it, `absent` says in a sentence why a
    value that belongs here is missing.
    """

    values: dict[str, float] = field(default_factory=dict)
    basis: dict[str, str] = field(default_factory=dict)
    backbones: dict[str, str] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The values by name, then the three explanations."""
        return {**self.values, "basis": self.basis, "backbones": self.backbones, "absent": self.absent}


@final
@dataclass(frozen=True, slots=True)
class _Backbone(Generic[Network]):
    """A network that the deployment has, or (`load` None) lacks."""

    kind: str
    load: Lazy[Network] | None


@final
class Evaluator:
    """Measures the results of one model; safe to call from any number of threads.

    Networks are loaded when first needed. A model that carries a CLIP of its own, in `clip`, is a world of its own, in
    which published networks mean nothing: there its own encoder and the packaged judge stand in, under their names.
    """

    def __init__(
        self,
        model: Model,
        *,
        clip: Path | None = None,
        dino: Path | None = None,
        lpips: Path | None = None,
        device: str = "cpu",
    ) -> None:
        """Takes the published networks from folders, and for those not given the model's own, where it has any.

        Args:
            model: whose results are measured.
            clip: a CLIPModel in transformers layout.
            dino: facebook/dino-vitb8 in transformers layout.
            lpips: the weights of LPIPS, as `Perceptual.load` reads them.
            device: where the networks live.

        Raises:
            ValueError: where a folder does not exist.
        """
        for folder in (clip, dino, lpips):
            if folder is not None and not folder.is_dir():
                raise ValueError(f"{folder} is no folder with the weights of a metric")
        own = (model.path / "clip").is_dir()
        self._clip = _Backbone("CLIP model", Lazy(lambda: _load_clip(model, clip, device)) if own or clip else None)
        self._keys = _Backbone("DINO model", Lazy(lambda: _load_keys(model, dino, device)) if own or dino else None)
        self._lpips = _Backbone("LPIPS weights", Lazy(lambda: _load_lpips(lpips, device)) if own or lpips else None)

    def inversion_quality(self, source: Rgb, autoencoded: Rgb, reconstruction: Rgb) -> Quality:
        """How well an inversion gives its source back.

        Args:
            source: the picture at the model's size.
            autoencoded: the autoencoder's own output of it: the best any inversion can reach.
            reconstruction: the inversion's.
        """
        notes = _Notes()
        notes.add("psnr", lambda: psnr(source, reconstruction), basis=_SOURCE)
        notes.add("psnr_autoencoder", lambda: psnr(autoencoded, reconstruction), basis=_AUTOENCODED)
        notes.add("ssim", lambda: ssim(source, reconstruction), basis=_SOURCE)
        notes.add("mse", lambda: mse(source, reconstruction), basis=_SOURCE)
        return notes.quality

    def edit_quality(
        self, source: Rgb, reconstruction: Rgb, edited: Rgb, *, region: Plane, source_prompt: str, target_prompt: str
    ) -> Quality:
        """How well an edit shows what was asked for and keeps the rest.

        Args:
            source: the picture at the model's size.
            reconstruction: the inversion's.
            edited: the edit's.
            region: the measured region of the edit, from `edit_region`.
            source_prompt: what the source shows.
            target_prompt: what the edit shall show.
        """
        notes = _Notes()
        self._note_edited(notes, edited, target_prompt)
        notes.add_with(
            self._clip,
            "clip_score_source",
            lambda clip: clip_score(source, source_prompt, clip),
            basis="100·cos of the source and its own prompt, to compare clip_score with",
        )
        notes.add_with(
            self._clip,
            "clip_score_unedited",
            lambda clip: clip_score(source, target_prompt, clip),
            basis="100·cos of the source and the target prompt: where clip_score starts from",
        )
        self._note_changed(notes, source, edited, region=region)
        for name, metric, reference, basis in (
            ("background_psnr", psnr, source, _SOURCE),
            ("background_ssim", ssim, source, _SOURCE),
            ("background_psnr_reconstruction", psnr, reconstruction, _RECONSTRUCTION),
        ):
            notes.add(name, partial(metric, reference, edited, region < 0.5), basis=f"{_OUTSIDE}, {basis}")
        return notes.quality

    def _note_edited(self, notes: "_Notes", edited: Rgb, prompt: str) -> None:
        notes.add_with(
            self._clip,
            "clip_score",
            lambda clip: clip_score(edited, prompt, clip),
            basis="100·cos of the edited picture and the target prompt",
        )
        notes.add_with(
            self._clip,
            "clip_score_hessel",
            lambda clip: clip_score_hessel(edited, prompt, clip),
            basis='2.5·cos of the edited picture and "A photo depicts " with the target prompt',
        )

    def _note_changed(self, notes: "_Notes", source: Rgb, edited: Rgb, *, region: Plane) -> None:
        notes.add_with(
            self._keys,
            "structure_distance",
            lambda keys: structure_distance(source, edited, keys),
            basis=f"{_SOURCE}, scale {Scale.SPLICE}",
        )
        notes.add_with(
            self._lpips,
            "ns_lpips",
            lambda network: ns_lpips(source, edited, network, foreground=region),
            basis=f"{_OUTSIDE}, {_SOURCE}",
        )


@final
class _Notes:
    """Gathers values one by one; what cannot be measured becomes a sentence."""

    def __init__(self) -> None:
        self.quality = Quality()

    def add(self, name: str, measure: Callable[[], float], *, basis: str) -> None:
        """Measures one value and notes what it compares."""
        try:
            value = measure()
        except EmptyRegionError:
            self.quality.absent[name] = "The measured region leaves nothing to compare."
        except InputError as error:
            self.quality.absent[name] = error.detail
        else:
            self._keep(name, value, basis)

    def add_with(
        self, network: "_Backbone[Network]", name: str, measure: Callable[[Network], float], *, basis: str
    ) -> None:
        """The same with a network, whose name is noted too; where the deployment lacks it, a sentence says so."""
        if network.load is None:
            self.quality.absent[name] = f"This deployment has no {network.kind}."
            return
        loaded = network.load()
        self.add(name, lambda: measure(loaded), basis=basis)
        if name in self.quality.values:
            self.quality.backbones[name] = loaded.name

    def _keep(self, name: str, value: float, basis: str) -> None:
        if not math.isfinite(value):
            self.quality.absent[name] = "The measurement gave no finite number."
            return
        self.quality.values[name] = value
        self.quality.basis[name] = basis


def _load_clip(model: Model, folder: Path | None, device: str) -> ClipPair:
    if folder is not None:
        return ClipPair.load(folder, name=network_name(folder), device=device)
    own = model.path
    return ClipPair.load(
        own / "clip",
        name=f"{model.name}-clip",
        tokenizer=own / "tokenizer",
        preprocessor=own / "feature_extractor",
        device=device,
    )


def _load_keys(model: Model, folder: Path | None, device: str) -> KeyEncoder:
    if folder is not None:
        return KeyEncoder.load_dino(folder, name=network_name(folder), device=device)
    return KeyEncoder.load_clip(
        model.path / "image_encoder",
        preprocessor=model.path / "feature_extractor",
        name=f"{model.name}-image-encoder",
        device=device,
    )


def _load_lpips(folder: Path | None, device: str) -> Perceptual:
    return Perceptual.pocket(device=device) if folder is None else Perceptual.load(folder, device=device)

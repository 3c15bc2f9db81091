"""What a job tells about its result: every measured number, the backbone behind it, and what could not be measured."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from core.domain.catalogue import Model
from core.evaluation._pixels import EmptyRegionError, Rgb
from core.evaluation.mse import mse
from core.evaluation.psnr import psnr
from core.evaluation.ssim import ssim

Mask = NDArray[np.float32]


@final
@dataclass(frozen=True, slots=True)
class Quality:
    """Measured values; every one is finite.

    `basis` says what a value compares, `backbones` names the network behind it, `absent` says in a sentence why a
    value that belongs here is missing.
    """

    values: dict[str, float]
    basis: dict[str, str] = field(default_factory=dict)
    backbones: dict[str, str] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The values by name, then the three explanations."""
        return {**self.values, "basis": self.basis, "backbones": self.backbones, "absent": self.absent}


@final
class Evaluator:
    """Measures the results of one model; safe to call from any number of threads."""

    def __init__(self, model: Model) -> None:
        self._model = model

    def inversion_quality(self, source: Rgb, autoencoded: Rgb, reconstruction: Rgb) -> Quality:
        """How well an inversion gives its source back.

        Args:
            source: the picture at the model's size.
            autoencoded: the autoencoder's own output of it: the best any inversion can reach.
            reconstruction: the inversion's.
        """
        notes = _Notes()
        notes.add("psnr", lambda: psnr(source, reconstruction), basis="against the source")
        notes.add(
            "psnr_autoencoder",
            lambda: psnr(autoencoded, reconstruction),
            basis="against the autoencoder's own output of the source",
        )
        notes.add("ssim", lambda: ssim(source, reconstruction), basis="against the source")
        notes.add("mse", lambda: mse(source, reconstruction), basis="against the source")
        return notes.quality()

    def edit_quality(
        self, source: Rgb, reconstruction: Rgb, edited: Rgb, *, region: Mask, source_prompt: str, target_prompt: str
    ) -> Quality:
        """How well an edit keeps what it should keep and shows what it should show.

        Args:
            source: the picture at the model's size.
            reconstruction: the inversion's.
            edited: the edit's.
            region: the measured region of the edit, from `edit_region`.
            source_prompt: what the source shows.
            target_prompt: what the edit shall show.
        """
        notes = _Notes()
        background = region < 0.5
        kept = "outside the measured region, against the source"
        notes.add("background_psnr", lambda: psnr(source, edited, background), basis=kept)
        notes.add("background_ssim", lambda: ssim(source, edited, background), basis=kept)
        notes.add(
            "background_psnr_reconstruction",
            lambda: psnr(reconstruction, edited, background),
            basis="outside the measured region, against the reconstruction",
        )
        return notes.quality()


@final
class _Notes:
    """Gathers values one by one; what fails to be a number becomes a sentence."""

    def __init__(self) -> None:
        self._quality = Quality(values={})

    def add(self, name: str, measure: Callable[[], float], *, basis: str) -> None:
        """Measures one value and notes what it compares."""
        try:
            value = measure()
        except EmptyRegionError:
            self._quality.absent[name] = "The measured region leaves no pixel to compare."
            return
        if not math.isfinite(value):
            self._quality.absent[name] = "The measurement gave no finite number."
            return
        self._quality.values[name] = value
        self._quality.basis[name] = basis

    def quality(self) -> Quality:
        """Everything noted so far."""
        return self._quality

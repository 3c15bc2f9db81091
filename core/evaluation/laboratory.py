"""Drawn scenes inverted and edited on one loaded model: what the benchmarks share."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, final

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from core.diffusion.backbone import Backbone
from core.diffusion.conditioning import PlainConditioning
from core.diffusion.editing.encoding import encode_edit
from core.diffusion.editing.methods import edit
from core.diffusion.engine import Engine
from core.diffusion.flights import Ran
from core.diffusion.inversion.inversion import Inversion
from core.diffusion.inversion.methods import invert
from core.diffusion.inversion.trace import Subject
from core.domain.catalogue import Model
from core.domain.edit_specs import EditSpec
from core.domain.inversion_specs import InversionMethod, InversionSpec, resolve_inversion
from core.evaluation._pixels import Rgb
from core.evaluation.psnr import psnr
from core.evaluation.scene_edits import SceneEdit
from core.pocket.judge import Judge


@final
class Effort(BaseModel):
    """What was spent: wall time beside everything else in flight, and UNet passes of one latent."""

    model_config = ConfigDict(frozen=True)

    seconds: float
    forwards: int
    backwards: int


@final
@dataclass(frozen=True, slots=True, eq=False)
class Inverted:
    """One scene's picture, inverted; without `effort` and `fidelity` it starts from plain noise.

    `autoencoded` is what the autoencoder gives back of the drawing, `fidelity` the reconstruction's PSNR in dB against
    the drawing and against that.
    """

    autoencoded: Rgb
    spec: InversionSpec
    inversion: Inversion
    effort: Effort | None = None
    fidelity: tuple[float, float] | None = None


@final
@dataclass(frozen=True, slots=True, eq=False)
class EditedScene:
    """An edit's picture and what it cost."""

    picture: Rgb
    effort: Effort


@final
@dataclass(frozen=True, slots=True)
class Laboratory:
    """One loaded model, the engine around it, and the judge; safe to use from several threads."""

    model: Model
    backbone: Backbone
    engine: Engine
    judge: Judge

    @classmethod
    def open(cls, model: Model, *, device: str) -> "Laboratory":
        """Loads everything."""
        backbone = Backbone(model.path, image_encoder=None, device=device, dtype=torch.float32)
        return cls(model, backbone, Engine(backbone), Judge.load())

    def invert(self, scene: SceneEdit, spec: InversionSpec) -> Inverted:
        """The scene's drawing inverted with its own caption."""
        drawn, source = scene.drawn().image, self._embedding(scene.prompts[0])
        latent = self.backbone.encode_image(drawn)
        subject = Subject(latent, source, self._embedding(""), self.backbone.image_features(drawn))
        solver = invert(spec, subject, self.backbone.schedule(spec.timesteps), seed=0)
        inversion, effort = _timed(lambda: self.engine.run(solver, lambda _: None))
        autoencoded, reconstruction = self.backbone.decode(latent), self.backbone.decode(inversion.path[-1])
        fidelity = psnr(drawn, reconstruction), psnr(autoencoded, reconstruction)
        return Inverted(autoencoded, spec, inversion, effort, fidelity)

    def generate(self, scene: SceneEdit, *, seed: int) -> Inverted:
        """Noise in an inversion's place: a word swap from it samples a caption and sees no source."""
        spec = resolve_inversion(InversionMethod.DDIM, {}, self.model.defaults)
        latent = self.backbone.encode_image(scene.drawn().image)
        noise = torch.randn(latent.shape, generator=torch.Generator().manual_seed(seed)).to(latent)
        path = noise.expand(spec.timesteps + 1, *noise.shape)
        null = self._embedding("")
        inversion = Inversion(PlainConditioning(null), path, path, torch.zeros(1, len(null)))
        return Inverted(self.backbone.decode(latent), spec, inversion)

    def edit(
        self, source: Inverted, scene: SceneEdit, spec: EditSpec, *, content: Tensor | None = None, seed: int = 0
    ) -> EditedScene:
        """The scene's edit from an inversion; `content` is a second picture's latent, where the method takes one."""
        ours, theirs = scene.prompts
        subject = encode_edit(
            self.backbone, spec, source.inversion, source=ours, target=theirs, guidance=source.spec.guidance
        )
        subject = replace(subject, content=content)
        solver = edit(spec, subject, self.backbone.schedule(source.spec.timesteps), seed=seed)
        edited, effort = _timed(lambda: self.engine.run(solver, lambda _: None))
        return EditedScene(self.backbone.decode(edited.latent), effort)

    def _embedding(self, text: str) -> Tensor:
        return self.backbone.encode_text(self.backbone.vocabulary.parse(text))


def _timed(run: Callable[[], Ran[Any]]) -> tuple[Any, Effort]:
    started = time.monotonic()
    ran = run()
    seconds = round(time.monotonic() - started, 3)
    return ran.result, Effort(seconds=seconds, forwards=ran.forwards, backwards=ran.backwards)

"""The two sides: the reference loop, one job after another, and the engine with many in flight."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from statistics import fmean
from typing import final

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from core.diffusion.backbone import Backbone
from core.diffusion.editing.encoding import encode_edit
from core.diffusion.editing.methods import edit
from core.diffusion.editing.subject import Edited
from core.diffusion.engine import Engine
from core.diffusion.flights import Ran
from core.diffusion.inversion.inversion import Inversion
from core.diffusion.inversion.methods import invert
from core.diffusion.inversion.trace import Subject
from core.diffusion.requests import Solver
from core.domain.catalogue import Model
from core.evaluation.benchmark_scenes.contenders import TUNED, draw_cases
from core.evaluation.engine_benchmark.reference import Fitted, Habits, Photo, ReferenceLoop
from core.evaluation.engine_benchmark.tasks import Budget, Windows
from core.evaluation.psnr import psnr


@final
@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """A picture with its sentence, encoded, and the sentences that it is edited by."""

    photo: Photo
    features: Tensor
    source: str
    targets: tuple[str, ...]

    @property
    def subject(self) -> Subject:
        """As the engine's solvers take it."""
        return Subject(self.photo.latent, self.photo.text, self.photo.null, self.features)


@final
@dataclass(frozen=True, slots=True)
class Quality:
    """dB to what the autoencoder gives back of the photo, and of inversions the mean of the timesteps' last losses."""

    psnr: float
    loss: float | None = None


@final
class Ours:
    """The engine around one loaded model."""

    def __init__(self, model: Model, *, device: str, dtype: torch.dtype) -> None:
        self.backbone = Backbone(model.path, image_encoder=None, device=device, dtype=dtype)
        self.engine = Engine(self.backbone)

    def task(self, scene: int, *, edits: int) -> Task:
        """A drawn scene and `edits` sentences for it, the three kinds in turn."""
        cases = draw_cases(scene, seed=0, stream=TUNED)
        source, _ = cases[0].edit.prompts
        side = self.backbone.resolution
        drawn = Image.fromarray(cases[0].edit.drawn().image).resize((side, side), Image.Resampling.BICUBIC)
        picture = np.asarray(drawn)
        targets = [case.edit.prompts[1] for case in cases]
        photo = Photo(picture, self.backbone.encode_image(picture), self.embedding(source), self.embedding(""))
        wanted = tuple(targets[n % len(targets)] for n in range(edits))
        return Task(photo, self.backbone.image_features(picture), source, wanted)

    def embedding(self, text: str) -> Tensor:
        """A sentence's embedding [tokens, width]."""
        return self.backbone.encode_text(self.backbone.vocabulary.parse(text))

    def inversion(self, task: Task, budget: Budget) -> Solver[Inversion]:
        """The solver of one inversion."""
        return invert(budget.spec(), task.subject, self.backbone.schedule(budget.timesteps), seed=0)

    def edit(self, task: Task, held: Inversion, budget: Budget, *, target: str) -> Solver[Edited]:
        """The solver of one edit of an inversion."""
        spec = Windows().spec()
        given = encode_edit(self.backbone, spec, held, source=task.source, target=target, guidance=budget.guidance)
        return edit(spec, given, self.backbone.schedule(budget.timesteps), seed=0)

    def invert_all(self, tasks: Sequence[Task], budget: Budget) -> list[Ran[Inversion]]:
        """All at once, a thread each, as the worker's slots do."""
        with ThreadPoolExecutor(len(tasks)) as pool:
            return list(pool.map(lambda one: self.engine.run(self.inversion(one, budget), lambda _: None), tasks))

    def edit_all(self, task: Task, held: Inversion, budget: Budget) -> list[Ran[Edited]]:
        """All edits of one inversion at once."""
        with ThreadPoolExecutor(len(task.targets)) as pool:
            solvers = [self.edit(task, held, budget, target=target) for target in task.targets]
            return list(pool.map(lambda one: self.engine.run(one, lambda _: None), solvers))

    def quality(self, tasks: Sequence[Task], ran: Sequence[Ran[Inversion]]) -> Quality:
        """Of what the engine made."""
        return Quality(
            fmean(self._fidelity(task.photo, one.result.path[-1]) for task, one in zip(tasks, ran, strict=True)),
            fmean(loss for one in ran for loss in one.result.losses),
        )

    def reference_quality(self, fitted: Fitted) -> Quality:
        """Of what the reference loop made."""
        return Quality(self._fidelity(fitted.photo, fitted.path[-1]), fmean(fitted.losses))

    def edit_quality(self, photo: Photo, latents: Sequence[Tensor]) -> Quality:
        """How far edits are from the source: the same on both sides where they compute the same."""
        return Quality(fmean(self._fidelity(photo, latent) for latent in latents))

    def _fidelity(self, photo: Photo, latent: Tensor) -> float:
        return psnr(self.backbone.decode(photo.latent), self.backbone.decode(latent))


def open_reference(model: Model, habits: Habits, *, device: str, dtype: torch.dtype) -> ReferenceLoop:
    """The reference loop on the same weights, loaded once more."""
    return ReferenceLoop(model.path, habits, device=device, dtype=dtype)

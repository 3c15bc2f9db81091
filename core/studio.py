"""The algorithm layer as jobs see it: pictures and sentences in, files and measurements out."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import final

import numpy as np
import torch

from core.diffusion import requests
from core.diffusion.backbone import Backbone
from core.diffusion.editing.encoding import encode_edit
from core.diffusion.editing.methods import edit
from core.diffusion.editing.regions import find_region
from core.diffusion.editing.subject import EditSubject, Text
from core.diffusion.engine import Engine
from core.diffusion.inversion.artifact import Header
from core.diffusion.inversion.inversion import Inversion
from core.diffusion.inversion.methods import invert
from core.diffusion.inversion.shelf import Shelf
from core.diffusion.inversion.trace import Subject
from core.diffusion.requests import Result, Solver
from core.domain.catalogue import Model
from core.domain.edit_parts import Region
from core.domain.edit_specs import EditSpec, StyleTransferSpec
from core.domain.errors import Conflict, ErrorCode
from core.domain.inversion_specs import DdimSpec, InversionSpec
from core.domain.prompts import Prompt
from core.domain.specs import Fit, Output
from core.domain.studio import Check, Finished, Observer, go_on
from core.domain.variants import ONE, Variety, candidates
from core.evaluation.quality import Evaluator
from core.images import Image, fit_square, read_image, to_png
from core.masks import Plane, fit_plane, white
from core.results import EditInput, EditResult, InversionResult, Results
from core.together import Together


@final
class ModelStudio:
    """Runs inversions and edits on one loaded model; safe to call from any number of threads."""

    def __init__(self, model: Model, backbone: Backbone, engine: Engine, *, evaluator: Evaluator) -> None:
        self.model = model
        self.backbone = backbone
        self.engine = engine
        self._results = Results(model, backbone, evaluator)
        self._shelf = Shelf(device=str(backbone.device))

    @classmethod
    def load(cls, model: Model, *, image_encoder: Path | None, evaluator: Evaluator, device: str) -> "ModelStudio":
        """Loads a model's networks: float32 on a CPU, bfloat16 for UNet and autoencoder on a GPU."""
        dtype = torch.float32 if device == "cpu" else torch.bfloat16
        backbone = Backbone(model.path, image_encoder=image_encoder, device=device, dtype=dtype)
        return cls(model, backbone, Engine(backbone), evaluator=evaluator)

    def warm_up(self) -> None:
        """Runs a short inversion, so that a worker that says it is ready has done the work once."""
        grey = np.full((self.backbone.resolution, self.backbone.resolution, 3), 128, np.uint8)
        spec = DdimSpec(timesteps=2, guidance=2.0)
        self.invert(to_png(grey), "a", spec, fit=Fit.CROP, seed=0, observe=lambda _: None, resume=None)

    def invert(
        self,
        image_png: bytes,
        prompt: str,
        spec: InversionSpec,
        *,
        fit: Fit,
        seed: int,
        observe: Observer,
        check: Check = go_on,
        resume: bytes | None,
    ) -> Finished:
        """An inversion's reconstruction, attention picture and file; `resume` is an earlier checkpoint."""
        original = read_image(image_png)
        square, _ = fit_square(original, self.backbone.resolution, fit=fit)
        source = self.backbone.vocabulary.parse(prompt)
        subject = self.encode(square, source)
        schedule = self.backbone.schedule(spec.timesteps)
        begin = partial(invert, spec, subject, schedule, seed=seed)
        (inversion,), metrics = self._run([begin], observe, check=check, resume=resume)
        header = Header(prompt=prompt, spec=spec, fit=fit, model=self.model.name, revision=self.model.revision)
        result = InversionResult(
            square=square,
            resized=original.shape != square.shape,
            source=source,
            subject=subject,
            inversion=inversion,
            header=header,
        )
        return replace(self._results.of_inversion(result), metrics=metrics)

    def edit(
        self,
        inversion: bytes,
        image_png: bytes,
        target_prompt: str,
        *,
        spec: EditSpec,
        output: Output,
        seed: int,
        images: Mapping[str, bytes],
        observe: Observer,
        check: Check = go_on,
        resume: bytes | None,
        variety: Variety = ONE,
    ) -> Finished:
        """An edit's picture and the region it changed, or the best of several in order.

        `images` are those that the parameters name, by id.
        """
        held, header = self._shelf.unpack(inversion)
        self._refuse_other_model(header)
        mask = _mask(spec.region, images)
        original = read_image(images[spec.content_image_id] if isinstance(spec, StyleTransferSpec) else image_png)
        subject = self._subject(held, header, target_prompt, spec=spec, mask=mask)
        if isinstance(spec, StyleTransferSpec):
            subject = self._of_content(subject, original, spec.content_prompt, fit=header.fit)
        schedule = self.backbone.schedule(header.spec.timesteps)
        chosen = candidates(spec, header.spec, seed=seed, variety=variety)
        begin = [partial(edit, one.spec, subject, schedule, seed=one.seed) for one in chosen]
        edited, metrics = self._run(begin, observe, check=check, resume=resume)
        inside = None if mask is None or spec.region is None else mask ^ spec.region.keep
        given = EditInput(original=original, subject=subject, header=header, inside=inside)
        results = [EditResult(candidate=one, edited=latent) for one, latent in zip(chosen, edited, strict=True)]
        return replace(self._results.of_edits(given, results, output=output, variety=variety), metrics=metrics)

    def _subject(
        self, held: Inversion, header: Header, target_prompt: str, *, spec: EditSpec, mask: Plane | None
    ) -> EditSubject:
        subject = encode_edit(
            self.backbone, spec, held, source=header.prompt, target=target_prompt, guidance=header.spec.guidance
        )
        if spec.region is None:
            return subject
        fitted = None if mask is None else fit_plane(mask, self.backbone.resolution, fit=header.fit)
        return replace(subject, region=find_region(spec.region, held, subject.source.prompt, mask=fitted))

    def _of_content(self, subject: EditSubject, original: Image, prompt: str, *, fit: Fit) -> EditSubject:
        """The subject of a style transfer: the picture that is edited is the content, not the inversion's."""
        square, _ = fit_square(original, self.backbone.resolution, fit=fit)
        parsed = self.backbone.vocabulary.parse(prompt)
        source = Text(parsed, subject.sentences["content_prompt"])
        return replace(subject, content=self.backbone.encode_image(square), source=source)

    def encode(self, square: Image, source: Prompt) -> Subject:
        """What an inversion works on, encoded once."""
        return Subject(
            latent=self.backbone.encode_image(square),
            source=self.backbone.encode_text(source),
            null=self.backbone.encode_text(self.backbone.vocabulary.parse("")),
            features=self.backbone.image_features(square),
        )

    def _run(
        self, begin: Sequence[Callable[..., Solver[Result]]], observe: Observer, *, check: Check, resume: bytes | None
    ) -> tuple[list[Result], dict[str, float]]:
        """Runs what each of these begins, given the state to go on from as `resume`, side by side."""
        together = Together(len(begin), resume=resume)
        solvers = [start(resume=together.resume(place)) for place, start in enumerate(begin)]

        def pass_on(place: int, reached: requests.Reached) -> None:
            preview = None if place else lambda: to_png(self.backbone.decode(reached.latents))
            observe(together.reached(place, reached, preview=preview))

        began_at = time.monotonic()
        ran = self.engine.run_all(solvers, pass_on, check=check)
        seconds = time.monotonic() - began_at
        forwards, backwards = sum(one.forwards for one in ran), sum(one.backwards for one in ran)
        metrics = {"compute_seconds": seconds, "unet_forwards": forwards, "unet_backwards": backwards}
        return [one.result for one in ran], metrics

    def _refuse_other_model(self, header: Header) -> None:
        if header.revision != self.model.revision:
            raise Conflict(
                ErrorCode.INVERSION_FAILED,
                f"The inversion was made with model revision {header.revision} and this worker runs "
                f"{self.model.revision}; invert the image again.",
            )


def _mask(region: Region | None, images: Mapping[str, bytes]) -> Plane | None:
    if region is None or region.image_id is None:
        return None
    return white(read_image(images[region.image_id]))

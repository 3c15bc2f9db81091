"""The algorithm layer as jobs see it: pictures and sentences in, files and measurements out."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from safetensors.torch import load, save

from core.diffusion import requests
from core.diffusion.backbone import Backbone
from core.diffusion.editing.plans import plan_edit, value_stop
from core.diffusion.editing.sampling import Edit, sample_edit
from core.diffusion.engine import Engine, Ran
from core.diffusion.inversion.artifact import Header, pack_inversion, unpack_inversion
from core.diffusion.inversion.inversion import Inversion
from core.diffusion.inversion.methods import invert
from core.diffusion.inversion.trace import Subject
from core.domain.catalogue import Model
from core.domain.edit_specs import EditSpec
from core.domain.errors import ComputeError, Conflict, ErrorCode
from core.domain.inversion_specs import DdimSpec, InversionSpec
from core.domain.prompts import Prompt
from core.domain.specs import Fit, Output
from core.domain.studio import File, Finished, Observer, Reached
from core.evaluation.psnr import psnr
from core.evaluation.quality import Evaluator
from core.evaluation.region import edit_region
from core.images import Image, fit_square, place_back, read_image, to_png
from core.pictures import attention_sheet

_PNG = "image/png"
_SAFETENSORS = "application/octet-stream"
# An autoencoder gives images of its own world back at 28 dB and more; a photograph through `pocket` at about 20.
_FOREIGN_PSNR = 25.0
# Below this, outside the measured region, a person sees that the background changed.
_KEPT_PSNR = 22.0


@final
class ModelStudio:
    """Runs inversions and edits on one loaded model; safe to call from any number of threads."""

    def __init__(self, model: Model, backbone: Backbone, engine: Engine, *, evaluator: Evaluator) -> None:
        self.model = model
        self.backbone = backbone
        self.engine = engine
        self.evaluator = evaluator

    @classmethod
    def load(cls, model: Model, *, image_encoder: Path | None, device: str) -> "ModelStudio":
        """Loads a model's networks: float32 on a CPU, bfloat16 for UNet and autoencoder on a GPU."""
        dtype = torch.float32 if device == "cpu" else torch.bfloat16
        backbone = Backbone(model.path, image_encoder=image_encoder, device=device, dtype=dtype)
        return cls(model, backbone, Engine(backbone), evaluator=Evaluator(model))

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
        resume: bytes | None,
    ) -> Finished:
        """An inversion's reconstruction, attention picture and file; `resume` is an earlier checkpoint."""
        started = time.monotonic()
        source = self.backbone.vocabulary.parse(prompt)
        square, _ = fit_square(read_image(image_png), self.backbone.resolution, fit=fit)
        subject = self.encode(square, source)
        solver = invert(
            spec,
            subject,
            self.backbone.schedule(spec.timesteps),
            seed=seed,
            resume=None if resume is None else load(resume),
        )
        ran = self.engine.run(solver, self._observer(observe))
        inversion = ran.result
        reconstruction, autoencoded = self._decode(inversion.path[-1]), self._decode(subject.latent)
        quality = self.evaluator.inversion_quality(square, autoencoded, reconstruction)
        header = Header(prompt=prompt, spec=spec, fit=fit, model=self.model.name, revision=self.model.revision)
        return Finished(
            files=(
                File(name="reconstruction", media_type=_PNG, data=to_png(reconstruction)),
                File(name="attention", media_type=_PNG, data=to_png(_attention_picture(square, source, inversion))),
                File(name="inversion", media_type=_SAFETENSORS, data=pack_inversion(inversion, header)),
            ),
            result={"quality": quality.as_json(), "words": list(source.words)},
            warnings=self._foreign(square, autoencoded),
            metrics=_metrics(ran, started),
        )

    def edit(
        self,
        inversion: bytes,
        image_png: bytes,
        target_prompt: str,
        *,
        spec: EditSpec,
        output: Output,
        seed: int,
        observe: Observer,
    ) -> Finished:
        """An edit's picture and the region it changed; the methods so far use no chance, so `seed` changes nothing."""
        started = time.monotonic()
        held, header = unpack_inversion(inversion, device=str(self.backbone.device))
        if header.revision != self.model.revision:
            raise Conflict(
                ErrorCode.INVERSION_FAILED,
                f"The inversion was made with model revision {header.revision} and this worker runs "
                f"{self.model.revision}; invert the image again.",
            )
        source, target = (self.backbone.vocabulary.parse(text) for text in (header.prompt, target_prompt))
        plan = plan_edit(spec, source, target, timesteps=header.spec.timesteps)
        edit = Edit(
            source=self.backbone.encode_text(source),
            target=self.backbone.encode_text(target),
            plan=plan,
            guidance=header.spec.guidance,
            value_stop=value_stop(spec, header.spec.timesteps),
        )
        solver = sample_edit(edit, held, self.backbone.schedule(header.spec.timesteps))
        ran = self.engine.run(solver, self._observer(observe))
        original = read_image(image_png)
        square, placement = fit_square(original, self.backbone.resolution, fit=header.fit)
        edited, reconstruction = self._decode(ran.result.latent), self._decode(held.path[-1])
        region = edit_region(reconstruction, edited)
        quality = self.evaluator.edit_quality(
            square, reconstruction, edited, region=region, source_prompt=source.text, target_prompt=target.text
        ).as_json()
        picture = edited
        if output is Output.ORIGINAL:
            picture = place_back(original, edited, region, placement=placement)
        return Finished(
            files=(
                File(name="image", media_type=_PNG, data=to_png(picture)),
                File(name="mask", media_type=_PNG, data=to_png(_grey(region))),
            ),
            result={
                "quality": quality,
                "plan": {"value_stop": edit.value_stop, **plan.describe()},
                "width": picture.shape[1],
                "height": picture.shape[0],
                "seed": seed,
            },
            warnings=_edit_warnings(region, quality),
            metrics=_metrics(ran, started),
        )

    def encode(self, square: Image, source: Prompt) -> Subject:
        """What an inversion works on, encoded once."""
        return Subject(
            latent=self.backbone.encode_image(square),
            source=self.backbone.encode_text(source),
            null=self.backbone.encode_text(self.backbone.vocabulary.parse("")),
            features=self.backbone.image_features(square),
        )

    def _decode(self, latent: torch.Tensor) -> Image:
        if not torch.isfinite(latent).all():
            raise ComputeError(ErrorCode.DIVERGED, "The optimisation diverged; try a lower learning_rate or guidance.")
        return self.backbone.decode(latent)

    def _observer(self, observe: Observer) -> Callable[[requests.Reached], None]:
        def pass_on(reached: requests.Reached) -> None:
            state = reached.state
            observe(
                Reached(
                    timestep=reached.done,
                    timesteps=reached.total,
                    checkpoint=None if state is None else lambda: save(_contiguous(state())),
                    preview=lambda: to_png(self.backbone.decode(reached.latents)),
                )
            )

        return pass_on

    def _foreign(self, square: Image, autoencoded: Image) -> tuple[str, ...]:
        kept = psnr(square, autoencoded)
        if kept >= _FOREIGN_PSNR:
            return ()
        return (
            f"This image lies outside what the model {self.model.name} knows: its autoencoder alone gives it back at "
            f"{kept:.1f} dB. {self.model.notice}".rstrip(),
        )


def _attention_picture(square: Image, source: Prompt, inversion: Inversion) -> Image:
    side = int(len(inversion.word_maps) ** 0.5)
    maps = inversion.word_maps.T.reshape(-1, side, side).cpu().numpy()
    per_word = [maps[list(places)].sum(0) for places in source.word_positions]
    return attention_sheet(square, source.words, np.array(per_word, np.float32).reshape(-1, side, side))


def _contiguous(tensors: requests.Tensors) -> requests.Tensors:
    return {name: tensor.detach().contiguous().cpu() for name, tensor in tensors.items()}


def _grey(mask: np.ndarray[Any, np.dtype[np.float32]]) -> Image:
    return np.repeat((mask * 255).round().astype(np.uint8)[..., None], 3, axis=2)


def _edit_warnings(region: np.ndarray[Any, Any], quality: dict[str, Any]) -> tuple[str, ...]:
    if not region.any():
        return ("The edit is not visible: nothing differs from the reconstruction. Lower the windows, or reword.",)
    background = quality.get("background_psnr")
    if background is not None and background < _KEPT_PSNR:
        return (f"The background was not kept: {background:.1f} dB outside the edited region.",)
    return ()


def _metrics(ran: Ran[Any], started: float) -> dict[str, float]:
    return {
        "compute_seconds": time.monotonic() - started,
        "unet_forwards": ran.forwards,
        "unet_backwards": ran.backwards,
    }

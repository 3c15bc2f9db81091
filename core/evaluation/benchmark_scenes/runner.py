"""Runs the contenders: many solvers in flight in one engine, each scene's inversions shared by its edits."""

import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final, TypeAlias, final

import torch
from torch import Tensor

from core.diffusion.backbone import Backbone
from core.diffusion.conditioning import PlainConditioning
from core.diffusion.editing.methods import edit
from core.diffusion.editing.subject import EditSubject, Text
from core.diffusion.engine import Engine, Ran
from core.diffusion.inversion.inversion import Inversion
from core.diffusion.inversion.methods import invert
from core.diffusion.inversion.trace import Subject
from core.domain.catalogue import Model
from core.domain.inversion_specs import InversionMethod, Sampling
from core.evaluation._pixels import Rgb
from core.evaluation.benchmark_scenes.contenders import (
    MEASURED,
    PRESETS,
    Case,
    Contender,
    draw_cases,
    edit_spec,
    inversion_spec,
)
from core.evaluation.benchmark_scenes.rows import Effort, Row, RowFile
from core.evaluation.psnr import psnr
from core.evaluation.scene_edits import Verdict, reading_as_json
from core.images import to_png
from core.pocket.judge import Judge
from core.pocket.render import render

# Solvers at once: in a call of 8 to 16 a row costs 2.5 times less than alone; on a CPU more rows gain nothing.
IN_FLIGHT: Final = 16

Task: TypeAlias = list[tuple[Case, Contender]]  # edits that share one inversion


@final
@dataclass(frozen=True, slots=True)
class Laboratory:
    """One loaded model, the engine around it, and the judge."""

    model: Model
    backbone: Backbone
    engine: Engine
    judge: Judge

    @classmethod
    def open(cls, model: Model, *, device: str) -> "Laboratory":
        """Loads everything."""
        backbone = Backbone(model.path, image_encoder=None, device=device, dtype=torch.float32)
        return cls(model, backbone, Engine(backbone), Judge.load())

    def setup(self, *, seed: int) -> dict[str, Any]:
        """All that a row depends on besides its own key."""
        return {
            "seed": seed,
            "stream": MEASURED,
            "model": {"name": self.model.name, "revision": self.model.revision},
            "presets": {kind.value: dict(preset) for kind, preset in PRESETS.items()},
            "inversions": {
                one.inverter.value: inversion_spec(one.inverter, self.model.defaults).model_dump(mode="json")
                for one in Contender
                if one.inverter is not None
            },
        }


@final
@dataclass(frozen=True, slots=True)
class _Source:
    """One scene's picture, inverted; `inversion` starts from plain noise where nothing is inverted."""

    autoencoded: Rgb
    spec: Sampling
    inversion: Inversion
    effort: Effort | None
    fidelity: tuple[float, float] | None  # against the source, against the autoencoder


def run_cases(laboratory: Laboratory, file: RowFile, *, scenes: int, seed: int, done: Callable[[Row], None]) -> None:
    """Computes every row that the file lacks; `done` is called with each, in this thread."""
    tasks = _missing(file, scenes=scenes, seed=seed)
    with ThreadPoolExecutor(IN_FLIGHT) as pool:
        futures = [pool.submit(_run_task, laboratory, file, task, seed=seed) for task in tasks]
        try:
            for future in as_completed(futures):
                for row in future.result():
                    done(row)
        except BaseException:
            # What is in flight ends at its next call; the rows so far are kept.
            pool.shutdown(wait=False, cancel_futures=True)
            laboratory.engine.close()
            raise


def _missing(file: RowFile, *, scenes: int, seed: int) -> list[Task]:
    """What is to be done, all edits of one inversion together."""
    present = {row.key for row in file.rows}
    tasks: dict[tuple[int, InversionMethod | None], Task] = defaultdict(list)
    for case in chain.from_iterable(draw_cases(scene, seed=seed) for scene in range(scenes)):
        for contender in Contender:
            if (case.scene, case.kind, contender) not in present:
                tasks[case.scene, contender.inverter].append((case, contender))
    return list(tasks.values())


def _run_task(laboratory: Laboratory, file: RowFile, task: Task, *, seed: int) -> list[Row]:
    first, contender = task[0]
    source = _invert(laboratory, first, contender.inverter, seed=seed)
    rows = []
    for case, one in task:
        picture, effort = _edit(laboratory, case, one, source=source)
        row = _measure(
            case, one, case.edit.judge(laboratory.judge, picture), picture=picture, source=source, effort=effort
        )
        file.add(row, to_png(picture))
        rows.append(row)
    return rows


def _invert(laboratory: Laboratory, case: Case, method: InversionMethod | None, *, seed: int) -> _Source:
    backbone, drawn = laboratory.backbone, render(case.edit.scene).image
    source, null = (backbone.encode_text(backbone.vocabulary.parse(text)) for text in (case.edit.prompts[0], ""))
    latent = backbone.encode_image(drawn)
    autoencoded = backbone.decode(latent)
    if method is None:
        noise = torch.randn(latent.shape, generator=torch.Generator().manual_seed(seed * 100_003 + case.scene))
        spec = inversion_spec(InversionMethod.DDIM, laboratory.model.defaults)
        return _Source(autoencoded, spec, _from_noise(noise, null, spec), None, None)
    spec = inversion_spec(method, laboratory.model.defaults)
    subject = Subject(latent, source, null, backbone.image_features(drawn))
    ran, effort = _timed(
        lambda: laboratory.engine.run(invert(spec, subject, backbone.schedule(spec.timesteps), seed=0), lambda _: None)
    )
    reconstruction = backbone.decode(ran.path[-1])
    fidelity = psnr(drawn, reconstruction), psnr(autoencoded, reconstruction)
    return _Source(autoencoded, spec, ran, effort, fidelity)


def _from_noise(noise: Tensor, null: Tensor, spec: Sampling) -> Inversion:
    """Sampling a caption from noise is word swap from an inversion of nothing."""
    path = noise.expand(spec.timesteps + 1, *noise.shape)
    return Inversion(PlainConditioning(null), path, path, torch.zeros(1, len(null)))


def _edit(laboratory: Laboratory, case: Case, contender: Contender, *, source: _Source) -> tuple[Rgb, Effort]:
    backbone = laboratory.backbone
    ours, theirs = (backbone.vocabulary.parse(text) for text in case.edit.prompts)
    subject = EditSubject(
        source.inversion,
        source=Text(ours, backbone.encode_text(ours)),
        target=Text(theirs, backbone.encode_text(theirs)),
        null=backbone.encode_text(backbone.vocabulary.parse("")),
        guidance=source.spec.guidance,
    )
    solver = edit(edit_spec(contender, case.kind), subject, backbone.schedule(source.spec.timesteps), seed=0)
    edited, effort = _timed(lambda: laboratory.engine.run(solver, lambda _: None))
    return backbone.decode(edited.latent), effort


def _timed(run: Callable[[], Ran[Any]]) -> tuple[Any, Effort]:
    started = time.monotonic()
    ran = run()
    return ran.result, Effort(
        seconds=round(time.monotonic() - started, 3), forwards=ran.forwards, backwards=ran.backwards
    )


def _measure(
    case: Case, contender: Contender, verdict: Verdict, *, picture: Rgb, source: _Source, effort: Effort
) -> Row:
    kept = psnr(source.autoencoded, picture, case.edit.kept_region()) if contender.inverter else None
    by_source, by_autoencoder = source.fidelity or (None, None)
    return Row(
        scene=case.scene,
        kind=case.kind,
        contender=contender,
        source_prompt=case.edit.prompts[0],
        target_prompt=case.edit.prompts[1],
        reading=reading_as_json(verdict.reading),
        asked=verdict.asked,
        kept=verdict.kept,
        success=verdict.success,
        background_psnr=kept if case.edit.of_the_object else None,
        object_psnr=None if case.edit.of_the_object else kept,
        reconstruction_psnr=by_source,
        reconstruction_psnr_autoencoder=by_autoencoder,
        inversion=source.effort,
        edit=effort,
    )

"""The stages in their order, and what each leaves in the work folder for the next."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

import torch

from core.pocket.train.clip import ClipTask
from core.pocket.train.data import HELD_OUT, HELD_OUT_SEED, Drawings, load_or_draw
from core.pocket.train.export import export_judge, export_model, trained_autoencoder
from core.pocket.train.judge import JudgeTask
from core.pocket.train.loop import Budget, Schedule, Task, train
from core.pocket.train.networks import load_autoencoder
from core.pocket.train.progress import Reporter
from core.pocket.train.tokenizer import make_tokenizer, save_tokenizer
from core.pocket.train.unet import Encoded, UnetTask
from core.pocket.train.vae import AutoencoderTask, encode, fold_statistics


class Stage(StrEnum):
    """In the order they need each other."""

    DATA = "data"
    TOKENIZER = "tokenizer"
    JUDGE = "judge"
    VAE = "vae"
    CLIP = "clip"
    UNET = "unet"
    EXPORT = "export"


TRAINED: Final = (Stage.JUDGE, Stage.VAE, Stage.CLIP, Stage.UNET)


@dataclass(frozen=True, slots=True)
class Recipe:
    """All that decides a training.

    Attributes:
        work: folder of drawings, checkpoints and the log; outside the repository.
        start: a model whose autoencoder, CLIP, text encoder and UNet are begun from.
        batches: pictures a step, by trained stage.
    """

    work: Path
    out: Path
    start: Path | None
    device: str
    scenes: int
    seed: int
    budgets: Mapping[Stage, Budget]
    batches: Mapping[Stage, int]
    compiled: bool


def run_stage(stage: Stage, recipe: Recipe, reporter: Reporter) -> None:
    """Run one stage to its end, going on from its checkpoint where there is one."""
    torch.manual_seed(recipe.seed)
    reporter.say(f"stage {stage}")
    _RUNNERS[stage](recipe, reporter)


def _data(recipe: Recipe, reporter: Reporter) -> None:
    _drawings(recipe, reporter)
    _held_out(recipe, reporter)


def _tokenizer(recipe: Recipe, reporter: Reporter) -> None:
    tokenizer = make_tokenizer()
    save_tokenizer(tokenizer, recipe.work / "tokenizer")
    reporter.say(f"tokenizer: {len(tokenizer)} tokens")


def _judge(recipe: Recipe, reporter: Reporter) -> None:
    task = JudgeTask(
        _drawings(recipe, reporter),
        _held_out(recipe, reporter),
        batch=recipe.batches[Stage.JUDGE],
        device=recipe.device,
    )
    _train(task, Stage.JUDGE, recipe, reporter=reporter)
    export_judge(recipe.work / "judge.pt", recipe.work / "judge.safetensors")


def _vae(recipe: Recipe, reporter: Reporter) -> None:
    drawings = _drawings(recipe, reporter)
    task = AutoencoderTask(
        drawings,
        _held_out(recipe, reporter),
        batch=recipe.batches[Stage.VAE],
        device=recipe.device,
        start=None if recipe.start is None else recipe.start / "vae",
    )
    _train(task, Stage.VAE, recipe, reporter=reporter)
    fold_statistics(task.model, drawings)
    task.model.save_pretrained(recipe.work / "vae")
    for stale in recipe.work.glob("latents-*.pt"):
        stale.unlink()


def _clip(recipe: Recipe, reporter: Reporter) -> None:
    task = ClipTask(
        _drawings(recipe, reporter),
        _held_out(recipe, reporter),
        make_tokenizer(),
        batch=recipe.batches[Stage.CLIP],
        device=recipe.device,
        start=recipe.start,
    )
    _train(task, Stage.CLIP, recipe, reporter=reporter)


def _unet(recipe: Recipe, reporter: Reporter) -> None:
    task = UnetTask(
        _encoded("train", _drawings(recipe, reporter), recipe, reporter=reporter),
        _encoded("held-out", _held_out(recipe, reporter), recipe, reporter=reporter),
        make_tokenizer(),
        batch=recipe.batches[Stage.UNET],
        device=recipe.device,
        start=recipe.start,
    )
    _train(task, Stage.UNET, recipe, reporter=reporter)


def _export(recipe: Recipe, reporter: Reporter) -> None:
    export_model(recipe.work, make_tokenizer(), recipe.out, start=recipe.start)
    total = sum(file.stat().st_size for file in recipe.out.rglob("*") if file.is_file())
    reporter.say(f"export: {total / 1e6:.2f} MB in {recipe.out}")


def _train(task: Task, stage: Stage, recipe: Recipe, *, reporter: Reporter) -> None:
    if recipe.compiled:
        for network in task.networks:
            network.compile()
    schedule = Schedule(recipe.budgets[stage], seed=recipe.seed + TRAINED.index(stage))
    train(task, recipe.work / f"{stage}.pt", schedule=schedule, reporter=reporter)


def _drawings(recipe: Recipe, reporter: Reporter) -> Drawings:
    with reporter.bar("drawing", total=recipe.scenes) as track:
        return load_or_draw(recipe.work / "data", seed=recipe.seed, count=recipe.scenes, track=track)


def _held_out(recipe: Recipe, reporter: Reporter) -> Drawings:
    with reporter.bar("held out", total=HELD_OUT) as track:
        return load_or_draw(recipe.work / "data", seed=HELD_OUT_SEED, count=HELD_OUT, track=track)


def _encoded(name: str, drawings: Drawings, recipe: Recipe, *, reporter: Reporter) -> Encoded:
    """Latents are computed once; a new autoencoder throws them away."""
    file = recipe.work / f"latents-{name}-{len(drawings)}.pt"
    if not file.exists():
        autoencoder = load_autoencoder(trained_autoencoder(recipe.work, recipe.start)).to(recipe.device)
        parts = []
        with reporter.bar("encoding", total=len(drawings)) as track:
            for first in range(0, len(drawings), 128):
                images = drawings.pixels(slice(first, first + 128)).to(recipe.device)
                parts.append(encode(autoencoder, images).cpu())
                track(first)
        torch.save(torch.cat(parts), file)
    return Encoded(drawings, torch.load(file, weights_only=True))


_RUNNERS: Final[dict[Stage, Callable[[Recipe, Reporter], None]]] = {
    Stage.DATA: _data,
    Stage.TOKENIZER: _tokenizer,
    Stage.JUDGE: _judge,
    Stage.VAE: _vae,
    Stage.CLIP: _clip,
    Stage.UNET: _unet,
    Stage.EXPORT: _export,
}

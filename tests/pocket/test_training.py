"""One small step of every stage, and resuming exactly where a training stopped."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from rich.console import Console

from core.pocket.train.clip import ClipTask
from core.pocket.train.data import Drawings, draw, load_or_draw
from core.pocket.train.export import export_model
from core.pocket.train.grounding import grounding_loss, owners_of
from core.pocket.train.judge import JudgeTask
from core.pocket.train.loop import Budget, Chance, Run, Schedule, Task, train
from core.pocket.train.progress import Reporter
from core.pocket.train.tokenizer import make_tokenizer
from core.pocket.train.unet import Encoded, UnetTask
from core.pocket.train.vae import AutoencoderTask, encode, fold_statistics, reconstruct
from core.pocket.weights import model_path

THREE_STEPS = Budget(steps=3)


@pytest.fixture(scope="module")
def drawings() -> Drawings:
    torch.set_num_threads(1)
    return draw(seed=77, count=24)


@pytest.fixture
def tasks(drawings: Drawings) -> dict[str, Callable[[], Task]]:
    latents = Encoded(drawings, torch.randn(24, 4, 16, 16, generator=torch.Generator().manual_seed(0)))
    words = make_tokenizer()
    return {
        "judge": lambda: JudgeTask(drawings, drawings, batch=4, device="cpu"),
        "vae": lambda: AutoencoderTask(drawings, drawings, batch=2, device="cpu"),
        "clip": lambda: ClipTask(drawings, drawings, words, batch=4, device="cpu"),
        "unet": lambda: UnetTask(latents, latents, words, batch=4, device="cpu"),
    }


def make(build: Callable[[], Task]) -> Task:
    torch.manual_seed(0)
    return build()


@pytest.mark.parametrize("stage", ["judge", "vae", "clip", "unet"])
def test_a_resumed_training_equals_one_that_never_stopped(
    stage: str, tasks: dict[str, Callable[[], Task]], tmp_path: Path
) -> None:
    straight = Run(make(tasks[stage]), tmp_path / "straight.pt")
    stopped = Run(make(tasks[stage]), tmp_path / "stopped.pt")
    for run in (straight, stopped):
        run.task.model.train()
        run.step(THREE_STEPS, seed=5)
    stopped.save()
    resumed = Run(make(tasks[stage]), tmp_path / "stopped.pt")
    resumed.task.model.train()
    for run in (straight, resumed):
        run.step(THREE_STEPS, seed=5)

    assert resumed.steps == 2
    for name, value in straight.task.model.state_dict().items():
        assert torch.equal(value, resumed.task.model.state_dict()[name]), name
        assert torch.equal(straight.average[name], resumed.average[name]), name


def test_a_training_ends_with_its_budget_and_logs(tasks: dict[str, Callable[[], Task]], tmp_path: Path) -> None:
    task = make(tasks["judge"])
    reporter = Reporter(Console(quiet=True), tmp_path / "train.log")
    train(task, tmp_path / "judge.pt", schedule=Schedule(THREE_STEPS, seed=1), reporter=reporter)
    left = {name: value.clone() for name, value in task.model.state_dict().items()}
    run = Run(task, tmp_path / "judge.pt")

    assert run.steps == 3
    assert "judge: step 3" in (tmp_path / "train.log").read_text()
    assert all(torch.equal(value, run.average[name]) for name, value in left.items())


def test_folding_gives_latents_unit_variance_and_keeps_the_output(drawings: Drawings) -> None:
    torch.manual_seed(0)
    autoencoder = AutoencoderTask(drawings, drawings, batch=2, device="cpu").model.eval()
    images = drawings.pixels(slice(None))
    before = reconstruct(autoencoder, images)
    fold_statistics(autoencoder, drawings)
    latents = encode(autoencoder, images)

    torch.testing.assert_close(latents.mean((0, 2, 3)), torch.zeros(4), atol=1e-4, rtol=0)
    torch.testing.assert_close(latents.std((0, 2, 3)), torch.ones(4), atol=1e-4, rtol=0)
    torch.testing.assert_close(reconstruct(autoencoder, images), before, atol=1e-4, rtol=0)


def test_kept_drawings_are_the_drawn_ones(tmp_path: Path) -> None:
    fresh, kept = (load_or_draw(tmp_path, seed=3, count=4) for _ in range(2))

    assert fresh.scenes == kept.scenes
    assert (fresh.images == kept.images).all()
    assert (fresh.masks == kept.masks).all()


def test_regions_share_out_every_cell(drawings: Drawings) -> None:
    torch.testing.assert_close(drawings.regions.sum(1), torch.ones(24, 16, 16), atol=0.01, rtol=0)


def test_chance_depends_on_the_step_alone() -> None:
    first, second, other = Chance.of(1, 7), Chance.of(1, 7), Chance.of(1, 8)
    drawn = [chance.uniform(5) for chance in (first, second, other)]

    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


def test_attention_on_the_own_region_costs_nothing_and_elsewhere_all() -> None:
    owners = owners_of(["a red star"], tokens=5)
    regions = torch.zeros(1, 3, 4, 4)
    regions[:, 0, :2], regions[:, 2, 2:] = 1, 1
    on, off = torch.zeros(1, 16, 5), torch.zeros(1, 16, 5)
    on[:, :8, 2:4], off[:, 8:, 2:4] = 0.5, 0.5
    losses = {
        name: grounding_loss([maps], owners=owners, regions=regions, weight=torch.ones(1))
        for name, maps in (("on", on), ("off", off))
    }

    assert losses["on"][0].item() == pytest.approx(0, abs=1e-4)
    assert losses["on"][1].item() == 0
    assert losses["off"][0].item() == pytest.approx(1, abs=1e-4)
    assert losses["off"][1].item() > 3


def test_an_export_takes_what_was_not_trained_from_the_model_it_began_from(
    tasks: dict[str, Callable[[], Task]], tmp_path: Path
) -> None:
    Run(make(tasks["unet"]), tmp_path / "unet.pt").save()
    export_model(tmp_path, make_tokenizer(), tmp_path / "model", start=model_path())

    for part in ("clip/model.safetensors", "image_encoder/model.safetensors"):
        assert (tmp_path / "model" / part).read_bytes() == (model_path() / part).read_bytes()


def test_the_leak_is_nothing_where_words_do_not_know_of_each_other(tasks: dict[str, Callable[[], Task]]) -> None:
    task = make(tasks["unet"])
    assert isinstance(task, UnetTask)
    for layer in task.model["text"].encoder.layers:
        layer.self_attn.out_proj.weight.data.zero_()

    assert task._leak(["a red striped star"]).item() == pytest.approx(0, abs=1e-6)
    assert task._leak(["a red star"]).item() == 0


def test_the_leak_counts_what_later_words_know(tasks: dict[str, Callable[[], Task]]) -> None:
    task = make(tasks["unet"])
    assert isinstance(task, UnetTask)

    assert task._leak(["a red striped star"]).item() > 1e-4

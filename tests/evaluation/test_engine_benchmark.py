"""The benchmark of the engine: both sides compute the same, and a small run measures both."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import CLIPVisionModelWithProjection

from core.diffusion.backbone import Backbone
from core.diffusion.driver import drive
from core.diffusion.editing.encoding import encode_edit
from core.diffusion.editing.methods import edit
from core.diffusion.inversion.methods import invert
from core.diffusion.inversion.trace import Subject
from core.domain.catalogue import read_model
from core.evaluation.engine_benchmark.ratios import as_json, ratios
from core.evaluation.engine_benchmark.reference import FROZEN, RELEASED, Habits, Photo, ReferenceLoop
from core.evaluation.engine_benchmark.runner import Measured, run_benchmark
from core.evaluation.engine_benchmark.tasks import Budget, Windows
from core.pocket.weights import model_path
from tests.diffusion.tiny import save_tiny_model, text_of

SOURCE, TARGET = "a red circle on grass", "a blue circle on grass"
BUDGET = Budget(timesteps=3, guidance=3.0, steps=3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tiny = save_tiny_model(tmp_path_factory.mktemp("tiny"))
    shutil.copytree(model_path() / "feature_extractor", tiny / "feature_extractor")
    encoder = tiny / "image_encoder"  # kept in half precision, as the packaged one is
    CLIPVisionModelWithProjection.from_pretrained(encoder, dtype=torch.float16).save_pretrained(encoder)
    return tiny


@pytest.fixture(scope="module")
def backbone(folder: Path) -> Backbone:
    return Backbone(folder, image_encoder=None, dtype=torch.float64)


@pytest.fixture(scope="module")
def photo(backbone: Backbone) -> Photo:
    picture = np.random.default_rng(0).integers(0, 255, (32, 32, 3), np.uint8)
    latent = torch.randn(4, 16, 16, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return Photo(picture, latent, text_of(backbone, SOURCE), text_of(backbone, ""))


@pytest.mark.parametrize(
    ("habits", "windows"), [(RELEASED, Windows()), (FROZEN, Windows(value=1.0, cross=0.0, self_=1.0, uncond=1.0))]
)
def test_the_reference_loop_and_the_solvers_agree(
    folder: Path, backbone: Backbone, photo: Photo, habits: Habits, windows: Windows
) -> None:
    loop = ReferenceLoop(folder, habits, device="cpu", dtype=torch.float64)
    subject = Subject(photo.latent, photo.text, photo.null, backbone.image_features(photo.picture).double())
    schedule = backbone.schedule(BUDGET.timesteps)

    theirs = loop.invert(photo, BUDGET, seed=0)
    ours = drive(invert(BUDGET.spec(), subject, schedule, seed=0), backbone)
    their_edit = loop.edit(theirs, text_of(backbone, TARGET), windows, guidance=3.0)
    given = encode_edit(backbone, windows.spec(), ours, source=SOURCE, target=TARGET, guidance=3.0)
    our_edit = drive(edit(windows.spec(), given, schedule, seed=0), backbone)

    assert theirs.inner_steps == 9
    assert theirs.losses == pytest.approx(ours.losses, rel=1e-6)
    torch.testing.assert_close(torch.stack(theirs.path), ours.path, rtol=0, atol=1e-6)
    torch.testing.assert_close(their_edit, our_edit.latent, rtol=0, atol=1e-6)
    assert (their_edit - ours.path[-1]).abs().max() > 1e-3


@pytest.fixture(scope="module")
def names() -> list[str]:
    """The contenders of the run, as each ended."""
    return []


@pytest.fixture(scope="module")
def measured(folder: Path, names: list[str]) -> Measured:
    model, budget = read_model(folder, name="tiny"), Budget(timesteps=2, guidance=3.0, steps=2)
    return run_benchmark(
        model, budget, device="cpu", rounds=2, done=names.append, in_flight=(1, 8), whole_timesteps=4, published_steps=4
    )


def test_a_small_run_measures_both_sides_of_the_same_work(measured: Measured, names: list[str]) -> None:
    assert names[-1] == "edits beside inversions"
    alone, released = measured.lines["engine: inversions, 1 in flight"], measured.lines["a: inversion"]
    assert alone.backwards == released.backwards == 4
    assert alone.quality.loss == pytest.approx(released.quality.loss, rel=1e-3)
    assert alone.flops is not None
    assert released.flops is not None
    assert released.flops > 1.3 * alone.flops
    assert len(released.rounds) == 2
    assert len(measured.crowding.rounds) == 2
    assert measured.crowding.edits > 0


def test_the_improved_solver_meets_the_released_one_once_over_a_whole_inversion(measured: Measured) -> None:
    improved, published = (
        measured.lines[name] for name in ("engine: improved, 8 in flight", "a: inversion, published budget")
    )

    assert len(improved.rounds) == len(published.rounds) == 1
    assert improved.backwards == 3 * 1 + 8


def test_ratios_are_by_timestep(measured: Measured) -> None:
    found = ratios(measured)

    released, improved = measured.lines["a: inversion"], measured.lines["engine: improved, 8 in flight"]
    assert found["improved_8_in_flight"]["a"] == pytest.approx(2 * released.rounds[0] / improved.rounds[0], rel=1e-2)
    assert set(found) == {
        "inversion_alone",
        "inversion_8_in_flight",
        "edit_alone",
        "edits_8_of_one",
        "improved_8_in_flight",
    }
    json.dumps([as_json(measured), found])

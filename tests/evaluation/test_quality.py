"""What a job is told about its result."""

import json
import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from core.domain.catalogue import Model, read_model
from core.evaluation._networks import Lazy, network_name
from core.evaluation.quality import Evaluator, Quality
from core.evaluation.region import edit_region
from core.pocket.render import render
from core.pocket.scenes import (
    Attribute,
    Background,
    Colour,
    Scene,
    SceneObject,
    Shape,
    Size,
    Texture,
    caption,
    with_attribute,
)
from core.pocket.weights import model_path

SCENE = Scene(Background.GRASS, (SceneObject(Shape.CIRCLE, Colour.RED, Texture.PLAIN, Size.LARGE),))
EDITED = with_attribute(SCENE, Attribute.COLOUR, Colour.BLUE)
SOURCE, RESULT = render(SCENE).image, render(EDITED).image
EDIT_VALUES = {
    "clip_score",
    "clip_score_hessel",
    "clip_score_source",
    "clip_score_unedited",
    "structure_distance",
    "ns_lpips",
    "background_psnr",
    "background_ssim",
    "background_psnr_reconstruction",
}
BY_NETWORKS = {name for name in EDIT_VALUES if not name.startswith("background")}

Mask = NDArray[np.float32]


@pytest.fixture(scope="module")
def model() -> Model:
    return read_model(model_path(), name="pocket")


@pytest.fixture(scope="module")
def evaluator(model: Model) -> Evaluator:
    return Evaluator(model)


@pytest.fixture
def bare(model: Model, tmp_path: Path) -> Evaluator:
    """Measures for a model that brings no network to measure with."""
    return Evaluator(replace(model, path=tmp_path))


def test_an_inversion_is_measured_against_source_and_autoencoder(bare: Evaluator) -> None:
    grey, lighter, white = (np.full((16, 16, 3), level, dtype=np.uint8) for level in (0, 51, 255))

    quality = bare.inversion_quality(white, grey, lighter).as_json()

    assert quality["mse"] == pytest.approx(0.64)
    assert quality["psnr"] == pytest.approx(-10 * math.log10(0.64))
    assert quality["psnr_autoencoder"] == pytest.approx(-10 * math.log10(0.04))
    assert 0 < quality["ssim"] < 1
    assert quality["basis"]["psnr"] == "against the source"
    assert quality["absent"] == {}


def test_an_edit_on_the_drawn_world_has_every_value_and_names_its_stand_ins(evaluator: Evaluator) -> None:
    quality = _edit(evaluator)

    assert quality.values.keys() == quality.basis.keys() == EDIT_VALUES
    assert quality.absent == {}
    assert quality.backbones == {
        "clip_score": "pocket-clip",
        "clip_score_hessel": "pocket-clip",
        "clip_score_unedited": "pocket-clip",
        "clip_score_source": "pocket-clip",
        "structure_distance": "pocket-image-encoder",
        "ns_lpips": "pocket-judge",
    }


def test_the_background_lies_outside_the_measured_region(evaluator: Evaluator) -> None:
    quality = _edit(evaluator)

    assert quality.values["background_psnr"] == 100
    assert quality.values["background_ssim"] == pytest.approx(1)
    assert quality.values["ns_lpips"] == 0
    assert "outside the measured region" in quality.basis["background_psnr"]


def test_a_metric_without_its_network_is_absent_with_a_sentence(bare: Evaluator) -> None:
    quality = _edit(bare)

    assert quality.absent.keys() == BY_NETWORKS
    assert quality.values.keys() == EDIT_VALUES - BY_NETWORKS
    assert quality.backbones == {}
    assert quality.absent["structure_distance"] == "This deployment has no DINO model."


def test_a_region_that_covers_everything_leaves_no_background(evaluator: Evaluator) -> None:
    quality = _edit(evaluator, region=np.ones((64, 64), np.float32))

    assert quality.absent.keys() == {
        "background_psnr",
        "background_ssim",
        "background_psnr_reconstruction",
        "ns_lpips",
    }


def test_a_sentence_too_long_for_clip_is_absent_and_the_rest_is_there(evaluator: Evaluator) -> None:
    quality = _edit(evaluator, target="x " * 40)

    assert quality.absent.keys() == {"clip_score", "clip_score_hessel", "clip_score_unedited"}
    assert "clip_score_source" in quality.values


def test_only_finite_numbers_reach_json(evaluator: Evaluator) -> None:
    content = json.loads(json.dumps(_edit(evaluator).as_json(), allow_nan=False))

    assert content["background_psnr"] == 100
    assert content.keys() == EDIT_VALUES | {"basis", "backbones", "absent"}


def test_a_folder_that_does_not_exist_is_refused_at_once(model: Model, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no folder"):
        Evaluator(model, clip=tmp_path / "nowhere")


def test_networks_are_named_after_the_hub_or_their_folder() -> None:
    snapshot = Path("/models/models--openai--clip-vit-base-patch32/snapshots/3d74acf9")

    assert network_name(snapshot) == "openai/clip-vit-base-patch32"
    assert network_name(Path("/models/dino-vitb8")) == "dino-vitb8"


def test_many_threads_load_a_network_once() -> None:
    lazy = Lazy(object)

    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda _: lazy(), range(32)))

    assert all(network is found[0] for network in found)


def _edit(evaluator: Evaluator, *, region: Mask | None = None, target: str | None = None) -> Quality:
    measured = edit_region(SOURCE, RESULT) if region is None else region
    return evaluator.edit_quality(
        SOURCE,
        SOURCE,
        RESULT,
        region=measured,
        source_prompt=caption(SCENE),
        target_prompt=caption(EDITED) if target is None else target,
    )

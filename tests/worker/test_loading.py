"""The networks that a deployment measures with are those that its settings name."""

from pathlib import Path

import numpy as np
import pytest

from core.domain.errors import Unavailable
from core.pocket.weights import model_path
from core.settings import Settings
from core.wiring import build_model
from worker.loading import load_evaluator

GREY = np.full((64, 64, 3), 128, np.uint8)
REGION = np.zeros((64, 64), np.float32)


def test_a_named_clip_measures_under_its_own_name(tmp_path: Path) -> None:
    """The packaged model's CLIP and its tokenizer, laid together as a hub would have them."""
    folder = tmp_path / "own-clip"
    folder.mkdir()
    for part in ("clip", "tokenizer", "feature_extractor"):
        for file in (model_path() / part).iterdir():
            (folder / file.name).symlink_to(file)
    settings = Settings(clip_model=str(folder))

    evaluator = load_evaluator(build_model(settings), settings, device="cpu")

    quality = evaluator.edit_quality(
        GREY, GREY, GREY, region=REGION, source_prompt="a circle", target_prompt="a red circle"
    )
    assert quality.backbones["clip_score"] == "own-clip"
    assert quality.backbones["structure_distance"] == "pocket-image-encoder"


@pytest.mark.parametrize("name", ["clip_model", "dino_model", "lpips_weights"])
def test_a_network_that_is_not_there_is_named_before_any_job(tmp_path: Path, name: str) -> None:
    settings = Settings.model_validate({name: str(tmp_path / "no such folder")})

    with pytest.raises(Unavailable, match=name.upper()):
        load_evaluator(build_model(settings), settings, device="cpu")

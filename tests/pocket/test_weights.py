"""The packaged weights: small, and ordinary for diffusers and transformers."""

import json
import subprocess
import sys
from typing import Any

import pytest
import torch
from diffusers import StableDiffusionPipeline
from transformers import CLIPModel

from core.pocket.weights import judge_path, model_path


def test_all_weights_together_are_small() -> None:
    files = [file for file in model_path().rglob("*") if file.is_file()]
    total = sum(file.stat().st_size for file in [*files, judge_path()])

    assert total <= 10_000_000


def test_where_the_weights_lie_is_known_without_torch() -> None:
    line = "import sys; import core.pocket.weights, core.pocket.render; print('torch' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", line], capture_output=True, text=True, check=True)

    assert found.stdout.strip() == "False"


@pytest.fixture(scope="module")
def pipeline() -> Any:
    kind: Any = StableDiffusionPipeline
    return kind.from_pretrained(model_path(), safety_checker=None, dtype=torch.float32)


def test_diffusers_loads_the_pipeline_and_draws(pipeline: Any) -> None:
    pipeline.set_progress_bar_config(disable=True)
    picture = pipeline("a large red circle on snow", num_inference_steps=2, guidance_scale=3.0).images[0]

    assert picture.size == (64, 64)


def test_the_image_encoder_is_as_wide_as_the_text(pipeline: Any) -> None:
    assert pipeline.image_encoder.config.hidden_size == pipeline.text_encoder.config.hidden_size


def test_latents_have_the_usual_scale(pipeline: Any) -> None:
    assert pipeline.vae.config.scaling_factor == 0.18215


def test_transformers_loads_the_clip() -> None:
    clip: Any = CLIPModel.from_pretrained(model_path() / "clip")

    assert clip.config.vision_config.image_size == 64


def test_no_config_tells_where_it_was_made() -> None:
    configs = [json.loads(file.read_text()) for file in model_path().rglob("*config.json")]

    assert not any("_name_or_path" in config for config in configs)

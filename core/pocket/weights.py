"""Where the packaged pocket model lies; free of torch, so that any process may ask."""

from pathlib import Path
from typing import Final

_WEIGHTS: Final = Path(__file__).with_name("weights")


def model_path() -> Path:
    """The packaged model: a folder in the layout of a diffusers `StableDiffusionPipeline`, with `clip` beside it."""
    return _WEIGHTS / "model"


def judge_path() -> Path:
    """The packaged judge's weights: one safetensors file."""
    return _WEIGHTS / "judge.safetensors"

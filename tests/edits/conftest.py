"""The packaged model at work, and one drawn scene that it has inverted."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from core.diffusion.backbone import Backbone
from core.diffusion.engine import Engine
from core.domain.catalogue import read_model
from core.evaluation.quality import Evaluator
from core.pocket.judge import Judge
from core.pocket.weights import model_path
from core.studio import ModelStudio
from tests.edits.picturing import Bench


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """Without networks to measure with: what tests ask, the judge answers."""
    model = read_model(model_path(), name="pocket")
    backbone = Backbone(model.path, image_encoder=None, device="cpu", dtype=torch.float32)
    nothing = Path(tmp_path_factory.mktemp("nothing"))
    evaluator = Evaluator(replace(model, path=nothing))
    return Bench(ModelStudio(model, backbone, Engine(backbone), evaluator=evaluator), Judge.load())

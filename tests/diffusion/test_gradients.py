"""Gradients of the learned inversions against finite differences, in float64 and through the whole UNet."""

from typing import Any

import pytest
import torch
from torch import Tensor

from core.diffusion.backbone import Backbone
from core.diffusion.calls import denoise_groups, descend_groups
from core.diffusion.inversion.methods import invert
from core.diffusion.inversion.trace import Subject
from core.diffusion.requests import Answer, Denoise, Descend, Solver
from core.diffusion.schedule import Schedule
from core.domain.inversion_parts import Feeds, Head
from core.domain.inversion_specs import InversionSpec, NullTextSpec, StyleDiffusionSpec, TextEmbeddingSpec

_FEW: dict[str, Any] = {"timesteps": 4, "guidance": 3.0, "stop_loss": 0.0, "stop_slope": 0.0}
_SPECS: dict[str, InversionSpec] = {
    "stylediffusion, modulate": StyleDiffusionSpec(**_FEW),
    "stylediffusion, replace": StyleDiffusionSpec(**_FEW, head=Head.REPLACE),
    "stylediffusion, no attention loss": StyleDiffusionSpec(**_FEW, attention_loss=0.0),
    "stylediffusion, keys": StyleDiffusionSpec(**_FEW, feeds=Feeds.KEY),
    "text_embedding": TextEmbeddingSpec(**_FEW),
    "null_text": NullTextSpec(**_FEW),
    "null_text, attention loss": NullTextSpec(**_FEW, attention_loss=1.0),
}


def _first_descent(solver: Solver[Any], backbone: Backbone) -> Descend:
    answer: Answer = None
    while True:
        request = solver.send(answer)
        if isinstance(request, Descend):
            return request
        answer = None
        if isinstance(request, Denoise):
            with torch.no_grad():
                (answer,) = denoise_groups(backbone, [request.rows])


def _loss_beside(request: Descend, backbone: Backbone, leaf: Tensor, *, way: Tensor) -> float:
    """The loss where one leaf is moved, which it is not afterwards."""
    with torch.no_grad():
        start = leaf.clone()
        leaf.add_(way)
        (answer,) = denoise_groups(backbone, [request.rows()])
        leaf.copy_(start)
        return float(request.loss(answer))


@pytest.mark.parametrize("name", _SPECS)
def test_the_gradient_is_that_of_the_loss(backbone: Backbone, subject: Subject, schedule: Schedule, name: str) -> None:
    """Along one random direction of each leaf, by central differences."""
    request = _first_descent(invert(_SPECS[name], subject, schedule, seed=0), backbone)
    descend_groups(backbone, [request])
    gradients = [leaf.grad for leaf in request.leaves]
    generator, step = torch.Generator().manual_seed(0), 1e-5

    for leaf, gradient in zip(request.leaves, gradients, strict=True):
        direction = torch.randn(leaf.shape, generator=generator, dtype=torch.float64)
        direction /= direction.norm()
        beyond, before = (_loss_beside(request, backbone, leaf, way=way * direction) for way in (step, -step))

        assert gradient is not None
        assert (beyond - before) / (2 * step) == pytest.approx(float((gradient * direction).sum()), abs=2e-8)
    assert max(float(gradient.abs().max()) for gradient in gradients if gradient is not None) > 1e-6

"""Low-rank weights of single rows: what they compute, beside other rows, and where their gradient goes."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from core.diffusion.attention.low_rank import Projection, fresh_weights
from core.diffusion.backbone import Backbone
from core.diffusion.calls import denoise_groups, descend_groups
from core.diffusion.requests import Descend, Rows, Tensors
from tests.diffusion.tiny import Watched


def _normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _rows(count: int, *, seed: int) -> Rows:
    keys, values = (_normal(count, 32, 16, seed=seed + n) for n in (1, 2))
    return Rows(_normal(count, 4, 16, 16, seed=seed), 501, keys=keys, values=values)


def _weights(backbone: Backbone, *, seed: int, rank: int = 2) -> Tensors:
    """Weights that add something everywhere."""
    fresh = fresh_weights(backbone.projections, rank, generator=torch.Generator().manual_seed(seed))
    return {name: 0.3 * _normal(*weight.shape, seed=seed + n) for n, (name, weight) in enumerate(fresh.items())}


@torch.no_grad()
def _output(backbone: Backbone, rows: Rows) -> Tensor:
    (seen,) = denoise_groups(backbone, [rows])
    return seen.output


def test_every_projection_of_attention_can_have_them(backbone: Backbone) -> None:
    layers = sum(name.endswith(("attn1", "attn2")) for name, _ in backbone._unet.named_modules())

    assert len(backbone.projections) == layers * len(Projection)


@pytest.mark.parametrize("rank", [1, 3])
def test_fresh_weights_change_nothing_bit_for_bit(backbone: Backbone, rank: int) -> None:
    rows = _rows(2, seed=10)
    fresh = fresh_weights(backbone.projections, rank, generator=torch.Generator().manual_seed(0))

    own = replace(rows, low_rank={name: weight.double() for name, weight in fresh.items()})

    assert torch.equal(_output(backbone, own), _output(backbone, rows))


def test_they_are_an_addition_to_the_models_own_weights(backbone: Backbone) -> None:
    """Added to the layers themselves they give the same output."""
    rows, weights = _rows(2, seed=10), _weights(backbone, seed=100)
    beside = _output(backbone, replace(rows, low_rank=weights))

    layers = {name: _layer(backbone, name) for name in backbone.projections}
    before = {name: layer.weight.clone() for name, layer in layers.items()}
    for name, layer in layers.items():
        layer.weight += weights[f"{name}.up"] @ weights[f"{name}.down"]
    inside = _output(backbone, rows)
    for name, layer in layers.items():
        layer.weight.copy_(before[name])

    torch.testing.assert_close(beside, inside, rtol=0, atol=1e-10)
    assert (inside - _output(backbone, rows)).abs().max() > 0.01


def test_rows_in_one_call_have_each_their_own(backbone: Backbone) -> None:
    """Two jobs with weights of different rank, and one without, in one call."""
    groups = [
        replace(_rows(1, seed=10), low_rank=_weights(backbone, seed=100)),
        _rows(2, seed=20),
        replace(_rows(2, seed=30), low_rank=_weights(backbone, seed=200, rank=3)),
    ]
    watched = Watched(backbone)

    with torch.no_grad():
        together = denoise_groups(watched, groups)

    assert watched.rows == [5]
    for rows, answer in zip(groups, together, strict=True):
        torch.testing.assert_close(answer.output, _output(backbone, rows), rtol=0, atol=1e-9)


def _descend(weights: Tensors, *, seed: int) -> Descend:
    rows = _rows(1, seed=seed)
    leaves = tuple(weight.requires_grad_() for weight in weights.values())
    return Descend(lambda: replace(rows, low_rank=weights), lambda seen: seen.output.square().mean(), leaves)


def test_gradients_of_several_jobs_are_those_of_each_alone(backbone: Backbone) -> None:
    requests = [_descend(_weights(backbone, seed=100 * n, rank=n), seed=10 * n) for n in (1, 2)]
    text = _normal(32, 16, seed=5).requires_grad_()
    others = _rows(1, seed=50)
    requests.append(
        Descend(lambda: replace(others, values=text[None]), lambda seen: seen.output.square().mean(), (text,))
    )
    before = {name: weight.clone() for name, weight in backbone._unet.named_parameters()}
    watched = Watched(backbone)

    together = descend_groups(watched, requests)

    assert watched.rows == [3]
    gradients = [[leaf.grad for leaf in request.leaves] for request in requests]
    for request, answer, found in zip(requests, together, gradients, strict=True):
        (alone,) = descend_groups(backbone, [request])
        assert answer.loss == pytest.approx(alone.loss, abs=1e-12)
        for leaf, gradient in zip(request.leaves, found, strict=True):
            torch.testing.assert_close(gradient, leaf.grad, rtol=0, atol=1e-9)
            assert gradient is not None
            assert gradient.abs().max() > 0
    for name, weight in backbone._unet.named_parameters():
        assert weight.grad is None
        assert torch.equal(weight, before[name])


def _layer(backbone: Backbone, name: str) -> nn.Linear:
    site, projection = name.rsplit(".processor.", 1)
    part = {"query": "to_q", "key": "to_k", "value": "to_v", "out": "to_out.0"}[projection]
    layer = backbone._unet.get_submodule(f"{site}.{part}")
    assert isinstance(layer, nn.Linear)
    return layer

"""The mapping network and the inner loop's schedules against published values."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from core.diffusion.inversion.learning import learning_rate
from core.diffusion.mapping import MappingNetwork, modulate
from core.domain.costs import inner_budgets
from core.domain.inversion_parts import Head
from core.domain.inversion_specs import StyleDiffusionSpec
from tests.reference import arrays, described

_VALUES = {name: torch.from_numpy(array) for name, array in arrays("mapping").items()}
_PUBLISHED = {
    "enter.weight": "conv_start.weight",
    "enter.bias": "conv_start.bias",
    "mix.weight": "conv_block.0.0.weight",
    "mix.bias": "conv_block.0.0.bias",
    "norm_weight": "conv_block.0.1.weight",
    "norm_bias": "conv_block.0.1.bias",
    "leave.weight": "conv_end.weight",
    "leave.bias": "conv_end.bias",
}


def _published_network() -> MappingNetwork:
    """With the published weights; the head c (1 + gamma) + beta starts one lower than c gamma + beta."""
    network = MappingNetwork(image_tokens=9, text_tokens=7, head=Head.MODULATE).double()
    weights = {ours: _VALUES[f"weight.{theirs}"].clone() for ours, theirs in _PUBLISHED.items()}
    weights["leave.bias"][:7] -= 1
    network.load_state_dict(weights)
    return network


@pytest.mark.parametrize("row", [0, 1])
def test_the_networks_output_is_the_published_one(row: int) -> None:
    modulation = _published_network()(_VALUES["features"][row])

    gamma_shift = torch.tensor([1.0] * 7 + [0.0] * 7, dtype=torch.float64)[:, None]
    torch.testing.assert_close(modulation + gamma_shift, _VALUES["mapped"][row], rtol=0, atol=1e-12)
    value = modulate(Head.MODULATE, modulation, _VALUES["text"][row])
    torch.testing.assert_close(value, _VALUES["context"][row], rtol=0, atol=1e-12)


def test_the_gradients_are_the_published_ones() -> None:
    network = _published_network()
    loss: Tensor = sum(
        (
            (_VALUES["cotangent"][row] * modulate(Head.MODULATE, network(features), _VALUES["text"][row])).sum()
            for row, features in enumerate(_VALUES["features"])
        ),
        torch.zeros(()),
    )

    gradients = torch.autograd.grad(loss, list(network.parameters()))

    for (name, _), gradient in zip(network.named_parameters(), gradients, strict=True):
        torch.testing.assert_close(gradient, _VALUES[f"gradient.{_PUBLISHED[name]}"], rtol=0, atol=1e-11)


def test_rows_do_not_mix_as_they_would_in_the_published_batch() -> None:
    network = _published_network()

    alone = [
        modulate(Head.MODULATE, network(x), text) for x, text in zip(_VALUES["features"], _VALUES["text"], strict=True)
    ]

    assert not torch.allclose(torch.stack(alone), _VALUES["context_batched_published"], atol=1e-3)


def test_the_network_has_the_published_shapes() -> None:
    published = described("optimisation")["mapping"]
    network = MappingNetwork(
        image_tokens=published["tokens_in"], text_tokens=published["tokens_out"], head=Head.MODULATE
    )

    assert sum(weight.numel() for weight in network.parameters()) == published["parameters"]
    for name, weight in network.named_parameters():
        assert list(weight.shape) == published["shapes"][_PUBLISHED[name]]


def test_a_modulation_starts_at_the_text_and_a_replacement_at_nothing() -> None:
    text, features = torch.randn(7, 12), torch.randn(9, 12)
    for head, start in ((Head.MODULATE, text), (Head.REPLACE, torch.zeros(7, 12))):
        network = MappingNetwork(image_tokens=9, text_tokens=7, head=head)
        network.initialise(torch.Generator().manual_seed(0))

        value = modulate(head, network(features), text)

        assert 0 < (value - start).abs().max() < 0.3


def test_one_seed_gives_one_start() -> None:
    networks = [MappingNetwork(image_tokens=9, text_tokens=7, head=Head.MODULATE) for _ in range(3)]
    for network, seed in zip(networks, (5, 5, 6), strict=True):
        network.initialise(torch.Generator().manual_seed(seed))

    assert torch.equal(networks[0].enter.weight, networks[1].enter.weight)
    assert not torch.equal(networks[0].enter.weight, networks[2].enter.weight)


@pytest.mark.parametrize("published", described("optimisation")["schedules"], ids=lambda case: f"T{case['T']}")
def test_budgets_and_rates_are_the_published_ones(published: dict[str, Any]) -> None:
    spec = StyleDiffusionSpec(timesteps=published["T"], inner_steps=100, inner_decay=0.1)
    few = StyleDiffusionSpec(timesteps=published["T"], inner_steps=10, inner_decay=0.1)
    indices = range(spec.timesteps)

    assert [spec.inner_budget(index) for index in indices] == published["inner_budget_100"]
    assert [few.inner_budget(index) for index in indices] == published["inner_budget_10"]
    assert sum(spec.inner_budget(index) for index in indices) == published["total_100"]
    assert list(inner_budgets(spec)) == published["inner_budget_100"]
    assert [learning_rate(spec, index) for index in indices] == pytest.approx(published["learning_rate"], abs=1e-15)
    stops = [spec.enough(index) for index in indices]
    assert stops == pytest.approx(published["stop_below"], abs=1e-15)


def test_the_rate_stays_positive_beyond_a_hundred_timesteps() -> None:
    spec = StyleDiffusionSpec(timesteps=200)

    assert all(learning_rate(spec, index) > 0 for index in range(200))
    assert math.isclose(learning_rate(spec, 150), 1e-4)

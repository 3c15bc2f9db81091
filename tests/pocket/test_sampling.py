"""The packaged model driven directly: its attention is the ordinary one until words are reweighted."""

from pathlib import Path

import pytest
import torch
from PIL import Image

from core.pocket.evaluate import Figure, measure_words
from core.pocket.grids import save_grid
from core.pocket.sampling import Pocket
from core.pocket.train.networks import load_unet
from core.pocket.weights import model_path

CAPTIONS = ["a large red striped circle on snow", "a small blue star on night"]


@pytest.fixture(scope="module")
def model() -> Pocket:
    torch.set_num_threads(1)
    return Pocket.load(model_path())


def sample(model: Pocket, factors: torch.Tensor | None = None, seed: int = 0) -> torch.Tensor:
    return model.sample(CAPTIONS, guidance=3.0, timesteps=2, seed=seed, factors=factors)


def test_written_out_attention_is_diffusers_own(model: Pocket) -> None:
    latents, states = torch.randn(2, 4, 16, 16), model.states(CAPTIONS)
    with torch.no_grad():
        ours = model.unet(latents, 300, states).sample
        theirs = load_unet(model_path() / "unet")(latents, 300, states).sample

    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)


def test_equal_seeds_give_equal_pictures(model: Pocket) -> None:
    assert torch.equal(sample(model), sample(model))
    assert not torch.equal(sample(model), sample(model, seed=1))


def test_factors_of_one_change_nothing_and_others_only_their_row(model: Pocket) -> None:
    ones = torch.ones(2, 32)
    muted = ones.clone()
    muted[0, 4] = 0
    plain = sample(model)

    torch.testing.assert_close(sample(model, ones), plain)
    assert not torch.allclose(sample(model, muted)[0], plain[0], atol=1e-3)
    torch.testing.assert_close(sample(model, muted)[1], plain[1])


def test_maps_are_distributions_over_tokens(model: Pocket) -> None:
    maps = model.attention(torch.randn(2, 4, 16, 16), CAPTIONS, timestep=300, seed=0)

    assert sorted({one.shape[1] for one in maps}) == [64, 256]
    for one in maps:
        torch.testing.assert_close(one.sum(-1), torch.ones(one.shape[:2]))


def test_words_of_an_object_look_at_it(model: Pocket, tmp_path: Path) -> None:
    figures: dict[str, Figure] = {one.name: one for one in measure_words(model, 12, tmp_path)}

    assert figures["pointing hit"].value >= 0.9
    assert (tmp_path / "attention.png").exists()


def test_a_grid_holds_eight_pictures_a_row(tmp_path: Path) -> None:
    save_grid(torch.zeros(9, 3, 64, 64), ["a red star"] * 9, tmp_path / "grid.png")
    with Image.open(tmp_path / "grid.png") as sheet:
        size = sheet.size

    assert size == (8 * 132, 2 * 165)

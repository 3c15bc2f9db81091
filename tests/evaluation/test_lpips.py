"""LPIPS and NS-LPIPS against the published package, run on weights that anyone can draw again."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from core.evaluation._pixels import EmptyRegionError
from core.evaluation._trunks import TRUNKS
from core.evaluation.lpips import Perceptual, lpips, lpips_pie
from core.evaluation.ns_lpips import ns_lpips, ns_lpips_official
from tests.reference import arrays

GOLDEN, PIXELS = arrays("metrics_lpips"), arrays("metrics_pixels")
FIRST, SECOND = (np.kron(PIXELS[name], np.ones((2, 2, 1), np.uint8)) for name in ("reference", "image"))
REGION = np.kron(PIXELS["region"], np.ones((2, 2))) > 0
FOREGROUND = GOLDEN["foreground"]
SEEDS = {"alex": 41, "squeeze": 42}
CLOSE = 2e-6


@dataclass(frozen=True)
class Published:
    """Both networks with drawn weights."""

    alex: Perceptual
    squeeze: Perceptual


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Published:
    networks = {}
    for kind in SEEDS:
        folder = tmp_path_factory.mktemp(kind)
        save_file(_drawn(kind), folder / "weights.safetensors")
        networks[kind] = Perceptual.load(folder)
    return Published(**networks)


@pytest.mark.parametrize("kind", SEEDS)
def test_the_distance_is_that_of_the_published_package(published: Published, kind: str) -> None:
    network: Perceptual = getattr(published, kind)
    layers = network.distance_map(network.pixels(FIRST), network.pixels(SECOND))

    assert network.name == f"lpips-{kind}"
    assert lpips(FIRST, SECOND, network) == pytest.approx(float(GOLDEN[kind]), abs=CLOSE)
    np.testing.assert_allclose([float(layer.mean()) for layer in layers], GOLDEN[f"{kind}.layers"], atol=CLOSE)


def test_a_region_takes_the_mean_of_the_map(published: Published) -> None:
    found = lpips(FIRST, SECOND, published.alex, region=REGION)

    assert found == pytest.approx(float(GOLDEN["alex.region"]), abs=CLOSE)


def test_pie_blackens_and_takes_the_whole_frame(published: Published) -> None:
    found = lpips_pie(FIRST, SECOND, published.squeeze, region=REGION)

    assert found == pytest.approx(float(GOLDEN["squeeze.pie"]), abs=CLOSE)


def test_both_forms_of_ns_lpips_have_their_reference_values(published: Published) -> None:
    clean = ns_lpips(FIRST, SECOND, published.alex, foreground=FOREGROUND)
    official = ns_lpips_official(FIRST, SECOND, published.alex, foreground=FOREGROUND)

    assert clean == pytest.approx(float(GOLDEN["alex.ns"]), abs=CLOSE)
    assert official == pytest.approx(float(GOLDEN["alex.ns_official"]), abs=CLOSE)


def test_the_foreground_does_not_count_in_ns_lpips(published: Published) -> None:
    foreground = REGION.astype(np.float32)
    ruined = SECOND.copy()
    ruined[REGION] = 255 - ruined[REGION]

    assert ns_lpips(FIRST, ruined, published.alex, foreground=foreground) == ns_lpips(
        FIRST, SECOND, published.alex, foreground=foreground
    )
    assert lpips(FIRST, ruined, published.alex, region=~REGION) == lpips(FIRST, SECOND, published.alex, region=~REGION)


def test_a_foreground_that_is_everything_leaves_no_value(published: Published) -> None:
    with pytest.raises(EmptyRegionError):
        ns_lpips(FIRST, SECOND, published.alex, foreground=np.ones((16, 16), np.float32))


def test_equal_pictures_have_no_distance(published: Published) -> None:
    assert lpips(FIRST, FIRST, published.alex) == 0


def test_the_formula_is_worked_by_hand() -> None:
    def features(pixels: Tensor) -> list[Tensor]:
        ahead = torch.tensor([3.0, 4.0]) if pixels.mean() > 0 else torch.tensor([5.0, 0.0])
        return [ahead.view(1, 2, 1, 1).expand(1, 2, 3, 3)]

    network = Perceptual(features, [torch.tensor([1.0, 2.0])], name="by hand")

    # Unit length: (.6, .8) and (1, 0); squared differences .16 and .64, weights 1 and 2.
    assert lpips(np.full_like(FIRST, 255), np.zeros_like(FIRST), network) == pytest.approx(0.16 + 2 * 0.64)


def test_weights_split_over_files_with_a_classifier_are_read(tmp_path: Path, published: Published) -> None:
    weights = _drawn("squeeze")
    trunk = {name: tensor for name, tensor in weights.items() if name.startswith("features.")}
    torch.save({**trunk, "classifier.1.weight": torch.zeros(2)}, tmp_path / "squeezenet1_1.pth")
    torch.save({name: weights[name] for name in weights.keys() - trunk.keys()}, tmp_path / "squeeze.pth")

    assert lpips(FIRST, SECOND, Perceptual.load(tmp_path)) == lpips(FIRST, SECOND, published.squeeze)


def test_weights_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    weights = _drawn("squeeze")
    del weights["lin3.model.1.weight"]
    save_file(weights, tmp_path / "weights.safetensors")

    with pytest.raises(ValueError, match="lin3"):
        Perceptual.load(tmp_path)
    (tmp_path / "weights.safetensors").unlink()
    with pytest.raises(ValueError, match="no AlexNet"):
        Perceptual.load(tmp_path)


def test_the_stand_in_of_the_drawn_world_bears_its_own_name() -> None:
    pocket = Perceptual.pocket()
    maps = pocket.distance_map(pocket.pixels(FIRST), pocket.pixels(SECOND))

    assert pocket.name == "pocket-judge"
    assert len(maps) > 3
    assert 0 < lpips(FIRST, SECOND, pocket) <= 4 * len(maps)  # two unit vectors are at most 2 apart


def _drawn(kind: str) -> dict[str, Tensor]:
    """The weights the reference values were computed with, as the README of the reference values says."""
    shapes = {f"features.{name}": tensor.shape for name, tensor in TRUNKS[kind]().layers.state_dict().items()}
    shapes |= {f"lin{n}.model.1.weight": (1, width, 1, 1) for n, width in enumerate(TRUNKS[kind]().widths)}
    rng = np.random.RandomState(SEEDS[kind])
    weights = {}
    for name in sorted(shapes):
        normal = rng.standard_normal(tuple(shapes[name]))
        if name.startswith("lin"):
            value = np.abs(normal)
        elif normal.ndim > 1:
            value = normal * np.sqrt(2 / np.prod(normal.shape[1:]))
        else:
            value = 0.1 * normal
        weights[name] = torch.from_numpy(value).float()
    count, total = GOLDEN[f"{kind}.check"]
    assert sum(value.numel() for value in weights.values()) == count
    assert sum(float(value.double().sum()) for value in weights.values()) == pytest.approx(total, abs=1e-6)
    return weights

"""PSNR, MSE and SSIM against scikit-image, in both conventions."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from core.evaluation._pixels import EmptyRegionError
from core.evaluation.mse import mse, mse_pie
from core.evaluation.psnr import CAP_DECIBELS, psnr, psnr_pie
from core.evaluation.ssim import ssim, ssim_pie
from tests.reference import arrays

GOLDEN = arrays("metrics_pixels")
FIRST, SECOND, REGION = GOLDEN["reference"], GOLDEN["image"], GOLDEN["region"]
EXACT = 1e-12

CLEAN: dict[str, Callable[..., float]] = {"mse": mse, "psnr": psnr, "ssim": ssim}
PIE: dict[str, Callable[..., float]] = {"mse": mse_pie, "psnr": psnr_pie, "ssim": ssim_pie}


@pytest.mark.parametrize("name", CLEAN)
def test_the_whole_picture_is_measured_as_by_scikit_image(name: str) -> None:
    assert CLEAN[name](FIRST, SECOND) == pytest.approx(float(GOLDEN[f"whole.{name}"]), abs=EXACT)


@pytest.mark.parametrize("name", CLEAN)
@pytest.mark.parametrize("part", ["inside", "outside"])
def test_a_region_is_measured_by_its_own_pixels_alone(name: str, part: str) -> None:
    region = REGION if part == "inside" else ~REGION

    assert CLEAN[name](FIRST, SECOND, region) == pytest.approx(float(GOLDEN[f"{part}.{name}"]), abs=EXACT)


@pytest.mark.parametrize("name", PIE)
@pytest.mark.parametrize("part", ["inside", "outside"])
def test_pie_blackens_the_rest_and_averages_over_the_frame(name: str, part: str) -> None:
    region = REGION if part == "inside" else ~REGION

    assert PIE[name](FIRST, SECOND, region) == pytest.approx(float(GOLDEN[f"{part}.pie_{name}"]), abs=EXACT)


def test_errors_have_the_values_worked_by_hand() -> None:
    black, changed = _plain(0), _plain(0)
    changed[0, 0] = 51  # a fifth, in one of 256 pixels
    corner = np.zeros((16, 16), dtype=np.bool_)
    corner[0, :2] = True

    assert mse(black, changed) == pytest.approx(0.04 / 256)
    assert mse(black, changed, corner) == pytest.approx(0.02)
    assert mse_pie(black, changed, corner) == pytest.approx(0.04 / 256)
    assert psnr(black, changed, corner) == pytest.approx(16.9897, abs=1e-4)
    assert psnr(black, _plain(255)) == pytest.approx(0)


def test_equal_pictures_reach_the_cap_and_one() -> None:
    assert psnr(FIRST, FIRST) == CAP_DECIBELS == 100
    assert ssim(FIRST, FIRST) == pytest.approx(1)
    assert mse(FIRST, FIRST) == 0


def test_borders_are_left_out_of_ssim_and_not_mirrored() -> None:
    mirrored = float(GOLDEN["whole.ssim_torchmetrics_mirrored"])

    assert abs(ssim(FIRST, SECOND) - mirrored) > 0.02


def test_what_happens_beyond_a_regions_border_does_not_count() -> None:
    ruined = SECOND.copy()
    ruined[REGION] = 255 - ruined[REGION]

    for metric in CLEAN.values():
        assert metric(FIRST, ruined, ~REGION) == metric(FIRST, SECOND, ~REGION)


@pytest.mark.parametrize("metric", [*CLEAN.values(), *PIE.values()])
def test_a_region_without_pixels_has_no_value(metric: Callable[..., float]) -> None:
    with pytest.raises(EmptyRegionError):
        metric(FIRST, SECOND, np.zeros(REGION.shape, dtype=np.bool_))


def test_pictures_of_two_sizes_or_another_type_are_refused() -> None:
    with pytest.raises(ValueError, match="one size"):
        mse(FIRST, SECOND[1:])
    with pytest.raises(ValueError, match="uint8"):
        mse(FIRST.astype(np.float64), SECOND)
    with pytest.raises(ValueError, match="region"):
        mse(FIRST, SECOND, REGION[1:])


def _plain(grey: int) -> NDArray[np.uint8]:
    return np.full((16, 16, 3), grey, dtype=np.uint8)

"""The packaged model in float32: what a job comes to does not depend on who shares its calls."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from core.domain.catalogue import read_model
from core.domain.edit_parts import EditMethod
from core.domain.edit_specs import resolve_edit
from core.domain.inversion_specs import InversionMethod, resolve_inversion
from core.evaluation._pixels import Rgb
from core.evaluation.benchmark_scenes.contenders import draw_cases
from core.evaluation.laboratory import Inverted, Laboratory
from core.evaluation.scene_edits import SceneEdit
from core.pocket.weights import model_path

TIMESTEPS = 5  # with Adam's steps enough to multiply a rounding by a hundred
INNER_STEPS = 2
IMAGIC = {"embedding_steps": 3, "weight_steps": 3}


@pytest.fixture(scope="module")
def laboratory() -> Iterator[Laboratory]:
    opened = Laboratory.open(read_model(model_path(), name="pocket"), device="cpu")
    yield opened
    opened.engine.close()


@pytest.fixture(scope="module")
def scenes() -> Sequence[SceneEdit]:
    return [draw_cases(scene, seed=0)[0].edit for scene in range(2)]


@pytest.fixture(scope="module")
def inverted(laboratory: Laboratory, scenes: Sequence[SceneEdit]) -> Sequence[Inverted]:
    return [_invert(laboratory, scene, InversionMethod.STYLEDIFFUSION) for scene in scenes]


@pytest.mark.parametrize("method", InversionMethod)
def test_an_inversion_is_the_same_alone_and_beside_others(
    laboratory: Laboratory, scenes: Sequence[SceneEdit], method: InversionMethod
) -> None:
    alone = [_invert(laboratory, scene, method) for scene in scenes]

    with ThreadPoolExecutor(len(scenes)) as pool:
        together = list(pool.map(lambda scene: _invert(laboratory, scene, method), scenes))

    for one, same in zip(alone, together, strict=True):
        assert torch.equal(one.inversion.path, same.inversion.path)
        assert _passes(one) == _passes(same)


@pytest.mark.parametrize("method", [one for one in EditMethod if one is not EditMethod.STYLE_TRANSFER])
def test_an_edit_is_the_same_alone_and_beside_others(
    laboratory: Laboratory, scenes: Sequence[SceneEdit], inverted: Sequence[Inverted], method: EditMethod
) -> None:
    spec = resolve_edit(method, IMAGIC if method is EditMethod.IMAGIC else {})

    def edit(source: Inverted, scene: SceneEdit) -> Rgb:
        return laboratory.edit(source, scene, spec).picture

    alone = list(map(edit, inverted, scenes))

    with ThreadPoolExecutor(len(scenes)) as pool:
        together = list(pool.map(edit, inverted, scenes))

    np.testing.assert_array_equal(alone, together)


def _invert(laboratory: Laboratory, scene: SceneEdit, method: InversionMethod) -> Inverted:
    defaults = {**laboratory.model.defaults, "timesteps": TIMESTEPS, "inner_steps": INNER_STEPS}
    return laboratory.invert(scene, resolve_inversion(method, {}, defaults))


def _passes(inverted: Inverted) -> tuple[int, int]:
    assert inverted.effort is not None
    return inverted.effort.forwards, inverted.effort.backwards

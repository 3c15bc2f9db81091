"""Several results of one edit: run in shared calls, measured, and ranked."""

from collections.abc import Mapping
from itertools import count
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save

from core.domain.edit_parts import EditMethod
from core.domain.edit_specs import resolve_edit
from core.domain.inversion_specs import DirectSpec, StyleDiffusionSpec
from core.domain.specs import Fit, Output
from core.domain.studio import Finished, Interrupted, Observer, Reached, StopReason
from core.domain.variants import Variety
from core.images import read_image, to_png
from core.pocket.scenes import caption
from core.settings import Settings
from core.studio import ModelStudio
from core.wiring import build_model
from tests.edits.picturing import CIRCLE, photo
from worker.loading import load_evaluator

TARGET = "a large blue circle on grass"


@pytest.fixture(scope="module")
def studio() -> ModelStudio:
    """The packaged model with its own networks to measure with."""
    model = build_model(Settings())
    evaluator = load_evaluator(model, Settings(), device="cpu")
    return ModelStudio.load(model, image_encoder=None, evaluator=evaluator, device="cpu")


@pytest.fixture(scope="module")
def inverted(studio: ModelStudio) -> bytes:
    """A drawn scene in four timesteps."""
    spec = DirectSpec(timesteps=4, guidance=3.0)
    finished = studio.invert(
        to_png(photo()), caption(CIRCLE), spec, fit=Fit.CROP, seed=0, observe=lambda _: None, resume=None
    )
    return next(file.data for file in finished.files if file.name == "inversion")


def run(
    studio: ModelStudio,
    inverted: bytes,
    *,
    method: EditMethod = EditMethod.P2PLUS,
    parameters: Mapping[str, Any] | None = None,
    variety: Variety,
    observe: Observer = lambda _: None,
    resume: bytes | None = None,
) -> Finished:
    """One edit with several results, in the model's own square."""
    return studio.edit(
        inverted,
        to_png(photo()),
        TARGET,
        spec=resolve_edit(method, parameters or {}),
        output=Output.MODEL,
        seed=5,
        images={},
        observe=observe,
        resume=resume,
        variety=variety,
    )


@pytest.fixture(scope="module")
def searched(studio: ModelStudio, inverted: bytes) -> tuple[Finished, list[Reached]]:
    """A search, and what it told on the way."""
    told: list[Reached] = []
    variety = Variety(search=True, count=2, given=("self_window",))
    return run(studio, inverted, parameters={"self_window": 0.3}, variety=variety, observe=told.append), told


def test_every_candidate_is_measured_and_the_best_come_first(searched: tuple[Finished, list[Reached]]) -> None:
    finished, _ = searched

    listed = finished.result["candidates"]
    scores = [one["score"] for one in listed]
    assert len(listed) > 5
    assert scores == sorted(scores, reverse=True)
    assert scores[0] > scores[-1]
    assert [one["rank"] for one in listed] == list(range(1, len(listed) + 1))
    assert {one["parameters"]["self_window"] for one in listed} == {0.3}
    assert finished.result["quality"] == listed[0]["quality"]


def test_as_many_pictures_are_kept_as_asked(searched: tuple[Finished, list[Reached]]) -> None:
    finished, _ = searched

    assert [file.name for file in finished.files] == ["image", "mask", "image_2", "mask_2"]
    assert [one["image"] for one in finished.result["candidates"]][:3] == ["image", "image_2", None]


def test_progress_runs_over_all_candidates(searched: tuple[Finished, list[Reached]]) -> None:
    finished, told = searched

    done = [one.timestep for one in told]
    assert done == list(range(1, 4 * len(finished.result["candidates"]) + 1))
    assert told[-1].timestep == told[-1].timesteps


def test_several_go_on_together_from_a_checkpoint_of_all(studio: ModelStudio, inverted: bytes) -> None:
    """They differ in their numbers of timesteps, and those that have ended stay as they are."""
    told: list[Reached] = []
    checkpoints: dict[int, bytes] = {}

    def observe(reached: Reached) -> None:
        told.append(reached)
        if reached.checkpoint is not None:
            checkpoints[reached.timestep] = reached.checkpoint()

    options: dict[str, Any] = {"method": EditMethod.SDEDIT, "variety": Variety(search=True, count=2, given=("method",))}
    straight = run(studio, inverted, observe=observe, **options)

    assert len({one["parameters"]["strength"] for one in straight.result["candidates"]}) > 1
    assert [one.timestep for one in told if one.checkpoint] == list(checkpoints) == [5, 9, 10]
    for done, checkpoint in checkpoints.items():
        again: list[Reached] = []
        resumed = run(studio, inverted, observe=again.append, resume=checkpoint, **options)

        assert [one.timestep for one in again] == list(range(done + 1, told[-1].timesteps + 1))
        assert {one.timesteps for one in again} <= {told[-1].timesteps}
        assert resumed.result == straight.result
        assert [file.data for file in resumed.files] == [file.data for file in straight.files]


def test_a_checkpoint_that_another_release_has_left_is_none(studio: ModelStudio, inverted: bytes) -> None:
    told: list[Reached] = []

    run(studio, inverted, variety=Variety(), observe=told.append, resume=save({"path": torch.zeros(1)}))

    assert [one.timestep for one in told] == [1, 2, 3, 4]


def test_seeds_give_results_of_their_own(studio: ModelStudio, inverted: bytes) -> None:
    finished = run(studio, inverted, method=EditMethod.SDEDIT, variety=Variety(count=2))
    alone = run(studio, inverted, method=EditMethod.SDEDIT, variety=Variety())

    listed = finished.result["candidates"]
    pictures = {one["seed"]: file.data for one, file in zip(listed, finished.files[::2], strict=True)}
    assert sorted(pictures) == [5, 6]
    assert pictures[5] != pictures[6]
    together, apart = (read_image(data).astype(int) for data in (pictures[5], alone.files[0].data))
    assert np.abs(together - apart).max() <= 2  # rows of one call round otherwise than rows of another


def test_a_cancel_is_heeded_between_two_calls(studio: ModelStudio) -> None:
    told: list[Reached] = []
    checks = count(1)
    spec = StyleDiffusionSpec(timesteps=4, inner_steps=100, stop_loss=0.0, stop_slope=0.0)

    def check() -> None:
        if next(checks) == 20:
            raise Interrupted(StopReason.CANCELED)

    with pytest.raises(Interrupted):
        studio.invert(
            to_png(photo()),
            caption(CIRCLE),
            spec,
            fit=Fit.CROP,
            seed=0,
            observe=told.append,
            check=check,
            resume=None,
        )

    assert len(told) == 4  # the trace; the first timestep that learns was not finished


def test_a_cancel_stops_all(studio: ModelStudio, inverted: bytes) -> None:
    told: list[int] = []

    def observe(reached: Reached) -> None:
        told.append(reached.timestep)
        raise Interrupted(StopReason.CANCELED)

    with pytest.raises(Interrupted):
        run(studio, inverted, variety=Variety(search=True), observe=observe)

    after = run(studio, inverted, method=EditMethod.WORD_SWAP, variety=Variety())
    assert told == [1]
    assert after.metrics["unet_forwards"] == 8  # the engine goes on, with nothing left of the others

"""Solvers that run side by side share the engine's calls, and leave it together."""

import threading
from collections.abc import Iterator

import pytest
import torch

from core.diffusion.backbone import Backbone
from core.diffusion.editing.methods import edit
from core.diffusion.engine import Engine
from core.diffusion.inversion.inversion import Inversion
from core.diffusion.requests import Reached
from core.diffusion.schedule import Schedule
from core.domain.edit_specs import EditSpec, MasaCtrlSpec, P2PlusSpec, SdEditSpec, WordSwapSpec
from tests.diffusion.inverting import edit_of, sample
from tests.diffusion.tiny import Watched

SPECS: list[EditSpec] = [P2PlusSpec(uncond_window=0.0), P2PlusSpec(self_window=1.0), WordSwapSpec(), MasaCtrlSpec()]
T = 4  # timesteps


@pytest.fixture
def watched(backbone: Backbone) -> Watched:
    return Watched(backbone)


@pytest.fixture
def engine(watched: Watched) -> Iterator[Engine]:
    engine = Engine(watched)
    yield engine
    engine.close()


def test_edits_of_one_inversion_share_every_call(
    backbone: Backbone, engine: Engine, watched: Watched, inversion: Inversion, schedule: Schedule
) -> None:
    subject = edit_of(backbone, inversion)

    ran = engine.run_all([edit(spec, subject, schedule, seed=0) for spec in SPECS], lambda *_: None)

    assert len(watched.rows) == T
    assert sum(watched.rows) == sum(one.forwards for one in ran)
    for one, spec in zip(ran, SPECS, strict=True):
        alone = sample(subject, schedule, predictor=backbone, spec=spec)
        torch.testing.assert_close(one.result.latent, alone.latent, rtol=0, atol=1e-9)


def test_the_source_is_evaluated_once_for_all_edits_of_an_inversion(
    backbone: Backbone, engine: Engine, watched: Watched, inversion: Inversion, schedule: Schedule
) -> None:
    subject = edit_of(backbone, inversion)
    spec = P2PlusSpec(cross_window=1.0, self_window=1.0, uncond_window=1.0)

    ran = engine.run_all([edit(spec, subject, schedule, seed=0) for _ in range(3)], lambda *_: None)

    assert watched.rows == [3 * 2 + 2] * T
    assert [one.forwards for one in ran] == [4 * T, 2 * T, 2 * T]


def test_one_that_ends_early_holds_nobody_up(
    backbone: Backbone, engine: Engine, watched: Watched, inversion: Inversion, schedule: Schedule
) -> None:
    subject = edit_of(backbone, inversion)
    specs: list[EditSpec] = [WordSwapSpec(), SdEditSpec(strength=0.5)]

    engine.run_all([edit(spec, subject, schedule, seed=0) for spec in specs], lambda *_: None)

    assert watched.rows == [4, 4, 2, 2]


def test_what_an_observer_raises_ends_its_own_solvers_alone(
    backbone: Backbone, engine: Engine, watched: Watched, inversion: Inversion, schedule: Schedule
) -> None:
    subject = edit_of(backbone, inversion)
    begun, others = threading.Event(), []

    def hold(_: Reached) -> None:
        begun.wait(10)

    def stop(place: int, _: Reached) -> None:
        begun.set()
        raise KeyError(place)

    other = edit(WordSwapSpec(), subject, schedule, seed=0)
    thread = threading.Thread(target=lambda: others.append(engine.run(other, hold)))
    thread.start()
    with pytest.raises(KeyError):
        engine.run_all([edit(spec, subject, schedule, seed=0) for spec in SPECS], stop)
    thread.join(10)

    assert others[0].forwards == 2 * T
    assert sum(watched.rows) <= 2 * T + 13  # at most one timestep of the four

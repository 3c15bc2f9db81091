"""What holds for every inversion method alike."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import pytest
import torch

from core.diffusion.backbone import Backbone
from core.diffusion.driver import drive
from core.diffusion.inversion.artifact import Header, pack_inversion, unpack_inversion
from core.diffusion.inversion.inversion import Inversion
from core.diffusion.inversion.methods import invert
from core.diffusion.inversion.trace import Subject
from core.diffusion.requests import Reached, Tensors
from core.diffusion.schedule import Schedule
from core.domain.costs import cost_of_inversion
from core.domain.edit_specs import P2PlusSpec
from core.domain.inversion_specs import InversionMethod
from core.domain.specs import Fit
from tests.diffusion.inverting import SOURCE, SPECS, drive_together, edit_of, sample
from tests.diffusion.tiny import Watched, tiny_subject


@dataclass(frozen=True)
class _Run:
    """An inversion run alone, from the first timestep to the last."""

    inversion: Inversion
    watched: Watched
    states: list[Tensors]  # of every timestep that was told of


@pytest.fixture(scope="module")
def straight(backbone: Backbone, subject: Subject, schedule: Schedule) -> Callable[[str], _Run]:
    """The run of a method, made once."""

    @cache
    def run(name: str) -> _Run:
        watched, states = Watched(backbone), list[Tensors]()

        def observe(reached: Reached) -> None:
            states.append(reached.state())

        return _Run(drive(invert(SPECS[name], subject, schedule, seed=0), watched, observe), watched, states)

    return run


def test_every_method_is_tested() -> None:
    assert {spec.method for spec in SPECS.values()} == set(InversionMethod)


@pytest.mark.parametrize("name", SPECS)
def test_passes_are_the_announced_cost(straight: Callable[[str], _Run], name: str) -> None:
    """With early stops out of reach the announced bound is met exactly."""
    watched = straight(name).watched

    backwards = sum(rows for rows, descends in zip(watched.rows, watched.descents, strict=True) if descends)

    cost = cost_of_inversion(SPECS[name])
    assert (sum(watched.rows), backwards) == (cost.unet_forwards, cost.unet_backwards)


@pytest.mark.parametrize("name", SPECS)
def test_the_path_starts_where_the_trace_ends(straight: Callable[[str], _Run], subject: Subject, name: str) -> None:
    inversion = straight(name).inversion

    assert torch.equal(inversion.trace[0], subject.latent)
    assert torch.equal(inversion.path[0], inversion.trace[-1])
    assert inversion.path.shape == inversion.trace.shape
    assert torch.isfinite(inversion.path).all()


@pytest.mark.parametrize("name", SPECS)
def test_a_file_keeps_all_that_an_edit_reads(
    straight: Callable[[str], _Run], backbone: Backbone, subject: Subject, schedule: Schedule, name: str
) -> None:
    inversion = straight(name).inversion
    header = Header(prompt=SOURCE, spec=SPECS[name], fit=Fit.CROP, model="tiny", revision="1")

    held, read = unpack_inversion(pack_inversion(inversion, header), device="cpu")

    assert read == header
    edited, again = (
        sample(edit_of(backbone, each), schedule, spec=P2PlusSpec(), predictor=backbone) for each in (inversion, held)
    )
    assert torch.equal(edited.latent, again.latent)


@pytest.mark.parametrize("name", SPECS)
def test_alone_and_in_a_batch_are_equal(
    straight: Callable[[str], _Run], backbone: Backbone, subject: Subject, schedule: Schedule, name: str
) -> None:
    alone, watched = straight(name), Watched(backbone)
    other = tiny_subject(backbone, "a green heart on sand")

    solvers = [invert(SPECS[name], each, schedule, seed=n) for n, each in enumerate((subject, other))]
    together, _ = drive_together(solvers, watched)

    assert watched.rows == [2 * rows for rows in alone.watched.rows]
    torch.testing.assert_close(together.path, alone.inversion.path, rtol=0, atol=1e-9)
    torch.testing.assert_close(
        together.conditioning.tensors(), alone.inversion.conditioning.tensors(), rtol=0, atol=1e-8
    )


@pytest.mark.parametrize("name", SPECS)
def test_every_timestep_leaves_a_state(straight: Callable[[str], _Run], name: str) -> None:
    states = straight(name).states

    assert len(states) in {4, 8}


@pytest.mark.parametrize("state", [0, 2, -3, -1])
@pytest.mark.parametrize("name", SPECS)
def test_resuming_equals_the_straight_run(
    straight: Callable[[str], _Run], backbone: Backbone, subject: Subject, schedule: Schedule, *, name: str, state: int
) -> None:
    run = straight(name)

    resumed = drive(invert(SPECS[name], subject, schedule, seed=0, resume=run.states[state]), backbone)

    assert torch.equal(resumed.trace, run.inversion.trace)
    assert torch.equal(resumed.path, run.inversion.path)
    assert torch.equal(resumed.word_maps, run.inversion.word_maps)
    assert resumed.losses == run.inversion.losses
    found, expected = resumed.conditioning.tensors(), run.inversion.conditioning.tensors()
    assert all(torch.equal(found[key], expected[key]) for key in expected)


@pytest.mark.parametrize("name", sorted(SPECS))
def test_an_edit_at_guidance_one_has_no_unconditional_branch(
    straight: Callable[[str], _Run], backbone: Backbone, subject: Subject, schedule: Schedule, name: str
) -> None:
    inversion, watched = straight(name).inversion, Watched(backbone)

    sample(edit_of(backbone, inversion, guidance=1.0), schedule, predictor=watched)

    assert watched.rows == [1] * (len(inversion.path) - 1)

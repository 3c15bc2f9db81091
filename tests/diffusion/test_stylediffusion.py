"""StyleDiffusion's inner loop: what it lowers, when it stops, which maps it keeps."""

from typing import Any

import pytest
import torch

from core.diffusion.attention.sites import Kind, Place, Site, carries_words
from core.diffusion.backbone import Backbone
from core.diffusion.conditioning import ModulatedConditioning
from core.diffusion.driver import drive
from core.diffusion.inversion.fitting import _wanted_maps
from core.diffusion.inversion.stylediffusion import invert_stylediffusion
from core.diffusion.inversion.trace import Subject, Trace
from core.diffusion.requests import Denoise
from core.diffusion.schedule import Schedule
from core.domain.inversion_parts import Head
from core.domain.inversion_specs import StyleDiffusionSpec
from tests.diffusion.tiny import Watched, losses_of, states_of

_SITE = Site("any", Kind.CROSS, Place.DOWN, side=16, full_side=16, word_side=16)
_NEVER_ENOUGH: dict[str, Any] = {"timesteps": 4, "guidance": 3.0, "stop_loss": 0.0, "stop_slope": 0.0}


@pytest.mark.parametrize("head", Head)
@pytest.mark.parametrize("attention_loss", [0.0, 1.0])
def test_each_timestep_lowers_its_loss(
    backbone: Backbone, subject: Subject, schedule: Schedule, head: Head, attention_loss: float
) -> None:
    spec = StyleDiffusionSpec(**_NEVER_ENOUGH, inner_steps=6, head=head, attention_loss=attention_loss)

    inversion, losses = losses_of(invert_stylediffusion(spec, subject, schedule, seed=0), backbone)

    assert [len(row) for row in losses] == [6] * 4
    assert all(row[-1] < row[0] for row in losses)
    assert inversion.losses == tuple(row[-1] for row in losses)


def test_the_attention_loss_adds_to_the_reconstruction_loss(
    backbone: Backbone, subject: Subject, schedule: Schedule
) -> None:
    """At the first inner step, where nothing has been learned yet, the loss is linear in its weight."""
    first = []
    for weight in (0.0, 1.0, 2.0):
        spec = StyleDiffusionSpec(**_NEVER_ENOUGH, inner_steps=1, attention_loss=weight)
        _, losses = losses_of(invert_stylediffusion(spec, subject, schedule, seed=0), backbone)
        first.append(losses[0][0])

    assert first[2] - first[1] == pytest.approx(first[1] - first[0], rel=1e-9)
    assert first[1] > first[0]


def test_enough_ends_a_timestep_without_a_step(backbone: Backbone, subject: Subject, schedule: Schedule) -> None:
    """What was carried to the next timestep is then the start that the seed drew."""
    spec = StyleDiffusionSpec(timesteps=4, guidance=1.5, inner_steps=5, stop_loss=1.0, stop_slope=1.0)
    watched = Watched(backbone)

    inversion = drive(invert_stylediffusion(spec, subject, schedule, seed=0), watched)

    assert watched.descents == [False] * 4 + [False, True] * 4
    assert isinstance(inversion.conditioning, ModulatedConditioning)
    modulations = inversion.conditioning.modulations
    assert torch.equal(modulations, modulations[:1].expand(4, -1, -1))


def test_each_timestep_starts_from_the_one_before(backbone: Backbone, subject: Subject, schedule: Schedule) -> None:
    """A longer first timestep changes where the second one begins, and so what it learns in one step."""
    spec = StyleDiffusionSpec(**_NEVER_ENOUGH, inner_steps=4, inner_decay=1.0)

    states = states_of(invert_stylediffusion(spec, subject, schedule, seed=0), backbone)

    learning = states[4:]  # after the trace
    weights = [torch.cat([w.flatten() for n, w in sorted(s.items()) if n.startswith("carried.")]) for s in learning]
    # Adam moves a weight by about its rate in a step: ceil(4 e^-1) = 2 steps at most at timestep 1.
    assert 0 < (weights[1] - weights[0]).abs().max() <= 2.5 * 1e-2
    assert (weights[0] - weights[1]).abs().mean() < weights[0].abs().mean()


@pytest.fixture
def trace(subject: Subject) -> Trace:
    """Five latents, and the maps of the four calls that left the first four."""
    latents = torch.arange(5, dtype=torch.float64).view(5, 1, 1, 1).expand(5, 4, 16, 16)
    maps = tuple({_SITE: torch.full((1, 1, 256, 32), float(call))} for call in range(4))
    return Trace(latents, torch.zeros(256, 32), maps)


@pytest.mark.parametrize(("index", "call"), [(0, 3), (1, 3), (2, 2), (3, 1)])
def test_maps_are_those_of_the_call_that_left_the_latent(
    subject: Subject, schedule: Schedule, trace: Trace, index: int, call: int
) -> None:
    """The noisiest latent was never left; it takes the maps of the call before, as in the published code."""
    asking = _wanted_maps(StyleDiffusionSpec(timesteps=4), subject, schedule, trace=trace, index=index)

    with pytest.raises(StopIteration) as stop:
        next(asking)
    assert stop.value.value is trace.maps[call]


def test_one_more_call_gives_the_noisiest_latents_own_maps(subject: Subject, schedule: Schedule, trace: Trace) -> None:
    spec = StyleDiffusionSpec(timesteps=4, last_map_call=True)

    request = next(_wanted_maps(spec, subject, schedule, trace=trace, index=0))

    assert isinstance(request, Denoise)
    assert torch.equal(request.rows.latents[0], trace.latents[4])
    assert (request.rows.timestep, request.rows.record) == (schedule.timesteps[0], carries_words)


@pytest.mark.parametrize(("index", "call"), [(1, 3), (2, 2), (3, 1)])
def test_a_resumed_inversion_repeats_the_call_whose_maps_it_needs(
    subject: Subject, schedule: Schedule, trace: Trace, index: int, call: int
) -> None:
    resumed = Trace(trace.latents, trace.word_maps)

    request = next(_wanted_maps(StyleDiffusionSpec(timesteps=4), subject, schedule, trace=resumed, index=index))

    assert isinstance(request, Denoise)
    assert torch.equal(request.rows.latents[0], trace.latents[call])
    assert request.rows.timestep == schedule.timesteps[3 - call]


def test_at_guidance_one_no_null_branch_is_evaluated(backbone: Backbone, subject: Subject, schedule: Schedule) -> None:
    watched = Watched(backbone)
    spec = StyleDiffusionSpec(**{**_NEVER_ENOUGH, "guidance": 1.0}, inner_steps=1)

    drive(invert_stylediffusion(spec, subject, schedule, seed=0), watched)

    assert watched.descents == [False] * 4 + [True, False] * 4

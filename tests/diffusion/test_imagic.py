"""Imagic: both fits lower the loss, nothing of the model moves, and a seed decides everything."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from safetensors.torch import load, save
from torch import Tensor

from core.diffusion.backbone import Backbone
from core.diffusion.calls import denoise_groups
from core.diffusion.driver import drive
from core.diffusion.editing.methods import edit
from core.diffusion.editing.subject import Edited, EditSubject
from core.diffusion.inversion.inversion import Inversion
from core.diffusion.inversion.methods import invert
from core.diffusion.inversion.trace import Subject
from core.diffusion.requests import Reached, Rows, Tensors
from core.diffusion.schedule import Schedule
from core.domain.costs import cost_of_edit
from core.domain.edit_specs import ImagicSpec, SdEditSpec
from tests.diffusion.inverting import SOURCE, SPECS, drive_together, edit_of, sample
from tests.diffusion.tiny import Watched, tiny_subject

_SHORT = ImagicSpec(embedding_steps=3, weight_steps=4, rank=2)
_LONG = ImagicSpec(embedding_steps=20, embedding_rate=0.05, weight_steps=60, weight_rate=0.02, interpolation=0.0)


@dataclass(frozen=True, repr=False)
class _Run:
    """An edit run alone, what was seen of it, and its state after every step."""

    edited: Edited
    watched: Watched
    reached: list[Reached]
    states: list[Tensors]


def _run(spec: ImagicSpec, subject: EditSubject, schedule: Schedule, *, backbone: Backbone, **given: Any) -> _Run:
    watched, reached, states = Watched(backbone), [], []

    def observe(now: Reached) -> None:
        reached.append(now)
        states.append(load(save(now.state())))

    solver = edit(spec, subject, schedule, **{"seed": 5, **given})
    return _Run(drive(solver, watched, observe), watched, reached, states)


@pytest.fixture(scope="module")
def subject_of_edit(backbone: Backbone, inversion: Inversion) -> EditSubject:
    return edit_of(backbone, inversion)


@pytest.fixture(scope="module")
def straight(backbone: Backbone, subject_of_edit: EditSubject, schedule: Schedule) -> _Run:
    """The short one, from the first step to the last."""
    return _run(_SHORT, subject_of_edit, schedule, backbone=backbone)


@pytest.fixture(scope="module")
def fitted(backbone: Backbone, subject_of_edit: EditSubject, schedule: Schedule) -> tuple[Edited, dict[int, Tensors]]:
    """One that is fitted long enough to tell, and its state after each fit."""
    states = {}

    def observe(now: Reached) -> None:
        if now.done in {_LONG.embedding_steps, _LONG.embedding_steps + _LONG.weight_steps}:
            states[now.done] = now.state()

    solver = edit(_LONG, replace(subject_of_edit, guidance=1.0), schedule, seed=5)
    return drive(solver, backbone, observe), states


@pytest.fixture(scope="module")
def loss_of(backbone: Backbone, inversion: Inversion, schedule: Schedule) -> Callable[[Tensor, Tensors], float]:
    """The mean error of the noise predicted for the picture, on the same noise and timesteps every time."""
    image, generator = inversion.trace[0], torch.Generator().manual_seed(99)
    timesteps = list(range(25, 1000, 50))
    noises = [torch.randn(image.shape, generator=generator).to(image) for _ in timesteps]

    @torch.no_grad()
    def measure(text: Tensor, weights: Tensors) -> float:
        noised = [schedule.noised(image, noise, timestep) for noise, timestep in zip(noises, timesteps, strict=True)]
        seen = denoise_groups(
            backbone,
            [
                Rows(latent[None], timestep, keys=text[None], values=text[None], low_rank=weights)
                for latent, timestep in zip(noised, timesteps, strict=True)
            ],
        )
        errors = [(one.output[0] - noise).square().mean() for one, noise in zip(seen, noises, strict=True)]
        return float(torch.stack(errors).mean())

    return measure


def _weights(state: Tensors) -> Tensors:
    named = {name.removeprefix("weights."): value for name, value in state.items() if name.startswith("weights.")}
    return {name: value for name, value in named.items() if name.endswith((".down", ".up")) and "adam" not in name}


def test_each_fit_lowers_the_loss_on_the_picture(
    fitted: tuple[Edited, dict[int, Tensors]],
    subject_of_edit: EditSubject,
    loss_of: Callable[[Tensor, Tensors], float],
) -> None:
    after_text, after_weights = fitted[1].values()

    start = loss_of(subject_of_edit.target.embedding, {})
    first = loss_of(after_text["text.embedding"], {})
    second = loss_of(after_weights["text.embedding"], _weights(after_weights))

    assert torch.equal(after_text["text.embedding"], after_weights["text.embedding"])
    assert first < 0.99 * start
    assert second < 0.95 * first


def test_without_the_target_the_fits_bring_the_edit_nearer_to_the_picture(
    backbone: Backbone, fitted: tuple[Edited, dict[int, Tensors]], subject_of_edit: EditSubject, schedule: Schedule
) -> None:
    """As near as weights of attention alone can make a random network."""
    unfitted = _LONG.model_copy(update={"embedding_steps": 0, "weight_steps": 0})
    image = subject_of_edit.inversion.trace[0]

    plain = _run(unfitted, replace(subject_of_edit, guidance=1.0), schedule, backbone=backbone)

    near, far = ((edited.latent - image).square().mean() for edited in (fitted[0], plain.edited))
    assert near < 0.95 * far


def test_without_any_steps_it_is_a_sample_of_the_target_from_noise(
    backbone: Backbone, subject_of_edit: EditSubject, schedule: Schedule
) -> None:
    """SDEdit at full strength, bit for bit: the weights that are not fitted change nothing."""
    nothing = ImagicSpec(embedding_steps=0, weight_steps=0)
    plain = replace(
        subject_of_edit, inversion=drive(invert(SPECS["ddim"], tiny_subject(backbone), schedule, seed=0), backbone)
    )

    unfitted = sample(plain, schedule, spec=nothing, predictor=backbone, seed=5)
    generated = sample(plain, schedule, spec=SdEditSpec(strength=1.0, value_window=0.0), predictor=backbone, seed=5)

    assert torch.equal(unfitted.latent, generated.latent)


def test_passes_are_the_announced_cost(straight: _Run, schedule: Schedule) -> None:
    cost = cost_of_edit(_SHORT, timesteps=len(schedule.timesteps))

    backwards = sum(
        rows for rows, descends in zip(straight.watched.rows, straight.watched.descents, strict=True) if descends
    )

    assert (sum(straight.watched.rows), backwards) == (cost.unet_forwards, cost.unet_backwards)


def test_both_branches_are_sampled_through_the_weights_and_the_text_is_fitted_without(straight: _Run) -> None:
    rows = [[part.rows.tolist() for part in control.low_rank] for control in straight.watched.controls]

    assert rows == [[]] * 3 + [[[0]]] * 4 + [[[0, 1]]] * 4


def test_every_step_is_told(straight: _Run) -> None:
    assert [(now.done, now.total) for now in straight.reached] == [(n, 11) for n in range(1, 12)]


@pytest.mark.parametrize("done", [1, 3, 5, 7, 9])
def test_resuming_equals_the_straight_run_bit_for_bit(
    straight: _Run, backbone: Backbone, subject_of_edit: EditSubject, schedule: Schedule, done: int
) -> None:
    """From inside and the end of both fits, and from sampling: picture, text, weights and optimisers."""
    resumed = _run(_SHORT, subject_of_edit, schedule, backbone=backbone, resume=straight.states[done - 1])

    assert [now.done for now in resumed.reached] == list(range(done + 1, 12))
    assert torch.equal(resumed.edited.latent, straight.edited.latent)
    assert resumed.states[-1].keys() == straight.states[-1].keys()
    assert all(torch.equal(value, straight.states[-1][name]) for name, value in resumed.states[-1].items())


def test_the_seed_decides(straight: _Run, backbone: Backbone, subject_of_edit: EditSubject, schedule: Schedule) -> None:
    again = _run(_SHORT, subject_of_edit, schedule, backbone=backbone)
    other = _run(_SHORT, subject_of_edit, schedule, backbone=backbone, seed=6)

    assert torch.equal(again.edited.latent, straight.edited.latent)
    assert not torch.allclose(other.states[2]["text.embedding"], straight.states[2]["text.embedding"], atol=1e-4)
    assert not torch.allclose(other.edited.latent, straight.edited.latent, atol=0.1)


def test_steps_draw_noise_of_their_own(straight: _Run) -> None:
    seen = [
        latents
        for latents, descends in zip(straight.watched.latents, straight.watched.descents, strict=True)
        if descends
    ]

    assert len({latents.sum().item() for latents in seen}) == len(seen)


def test_in_a_batch_as_alone_and_the_model_stays_as_it_is(
    straight: _Run, backbone: Backbone, subject_of_edit: EditSubject, schedule: Schedule
) -> None:
    other = drive(invert(SPECS["direct"], tiny_subject(backbone, "a green heart on sand"), schedule, seed=0), backbone)
    spec = _SHORT.model_copy(update={"rank": 3, "embedding_steps": 2, "weight_steps": 5})
    before = {name: weight.clone() for name, weight in backbone._unet.named_parameters()}
    watched = Watched(backbone)

    solvers = [
        edit(_SHORT, subject_of_edit, schedule, seed=5),
        edit(spec, edit_of(backbone, other), schedule, seed=6),
    ]
    together, beside = drive_together(solvers, watched)

    alone = _run(spec, edit_of(backbone, other), schedule, backbone=backbone, seed=6)
    assert watched.rows == [2 * rows for rows in straight.watched.rows]
    torch.testing.assert_close(together.latent, straight.edited.latent, rtol=0, atol=1e-9)
    torch.testing.assert_close(beside.latent, alone.edited.latent, rtol=0, atol=1e-9)
    assert all(weight.grad is None for weight in backbone._unet.parameters())
    assert all(torch.equal(weight, before[name]) for name, weight in backbone._unet.named_parameters())


@pytest.mark.parametrize("name", ["direct", "edit_friendly"])
def test_outside_a_region_any_inversions_path_stands(
    backbone: Backbone, subject: Subject, schedule: Schedule, name: str
) -> None:
    """Also one that starts below the noisiest timestep, where the edit starts."""
    long = backbone.schedule(8)
    spec = SPECS[name].model_copy(update={"timesteps": 8})
    inversion = drive(invert(spec, subject, long, seed=0), backbone)
    region = torch.zeros(16, 16, dtype=torch.bool)
    region[4:12, 4:12] = True

    edited = sample(
        replace(edit_of(backbone, inversion, source=SOURCE), region=region), long, spec=_SHORT, predictor=backbone
    )

    assert torch.equal(edited.latent[:, ~region], inversion.path[-1][:, ~region])
    assert not torch.allclose(edited.latent[:, region], inversion.path[-1][:, region], atol=0.01)

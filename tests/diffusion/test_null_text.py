"""Null-text inversion against the published one on a toy network, and on a tiny model."""

import numpy as np
import pytest
import torch
from torch import Tensor

from core.diffusion.attention.control import Control
from core.diffusion.attention.sites import Kind, Place, Site
from core.diffusion.backbone import Backbone
from core.diffusion.conditioning import NullConditioning
from core.diffusion.driver import drive
from core.diffusion.inversion.inversion import Inversion
from core.diffusion.inversion.null_text import invert_null_text
from core.diffusion.inversion.trace import Subject
from core.diffusion.schedule import Schedule
from core.domain.inversion_specs import NullTextSpec
from tests.diffusion.tiny import Watched, losses_of
from tests.reference import arrays

_VALUES = {name: torch.from_numpy(array) for name, array in arrays("null_text").items()}
_SITE = Site("toy", Kind.CROSS, Place.DOWN, side=4, full_side=4, word_side=4)


class _Toy:
    """The toy network of the reference values, as a predictor."""

    def predict(self, latents: Tensor, timesteps: Tensor, keys: Tensor, *, control: Control | None) -> Tensor:
        assert control is not None
        if control.record is not None:
            control.maps[_SITE] = torch.zeros(len(latents), 1, 16, 7, dtype=torch.float64)
        picture = torch.einsum("oi,niyx->noyx", _VALUES["latent_matrix"], latents)
        text = torch.einsum("t,ntw,wo->no", _VALUES["token_weights"], keys, _VALUES["text_matrix"])
        return torch.tanh(picture + text[..., None, None] + timesteps.double()[:, None, None, None] / 1000)


def _schedule(offset: int) -> Schedule:
    config = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012, "steps_offset": offset}
    return Schedule.from_config(config, 10)


def _invert(offset: int, variant: str) -> tuple[Inversion, list[list[float]]]:
    stops = {} if variant == "stop_first" else {"stop_loss": 0.0, "stop_slope": 0.0}
    null, source = _VALUES["context"]
    subject = Subject(_VALUES["latent"][0], source, null, features=torch.zeros(1, 6))
    return losses_of(invert_null_text(NullTextSpec(timesteps=10, **stops), subject, _schedule(offset)), _Toy())


@pytest.mark.parametrize("variant", ["no_stop", "stop_first"])
@pytest.mark.parametrize("offset", [0, 1])
def test_a_whole_inversion_is_the_published_one(offset: int, variant: str) -> None:
    """Departed from: the published early stop takes one step more than it tested; `stop_first` does not."""
    inversion, losses = _invert(offset, variant)

    name = f"offset{offset}.{variant}"
    assert isinstance(inversion.conditioning, NullConditioning)
    found = inversion.conditioning.nulls
    torch.testing.assert_close(inversion.trace, _VALUES[f"offset{offset}.trace"][:, 0], rtol=0, atol=1e-10)
    torch.testing.assert_close(found, _VALUES[f"{name}.null"][:, 0], rtol=0, atol=1e-8)
    torch.testing.assert_close(inversion.path, _VALUES[f"{name}.path"][:, 0], rtol=0, atol=1e-8)
    expected = [row[~np.isnan(row)].tolist() for row in _VALUES[f"{name}.losses"].numpy()]
    assert [len(row) for row in losses] == [len(row) for row in expected]
    for ours, theirs in zip(losses, expected, strict=True):
        assert ours == pytest.approx(theirs, abs=1e-8)
    assert inversion.losses == tuple(row[-1] for row in losses)


def test_each_timestep_lowers_its_loss(backbone: Backbone, subject: Subject, schedule: Schedule) -> None:
    spec = NullTextSpec(timesteps=4, inner_steps=6, stop_loss=0, stop_slope=0)

    _, losses = losses_of(invert_null_text(spec, subject, schedule), backbone)

    assert all(row[-1] < row[0] for row in losses)


def test_passes_are_those_documented(backbone: Backbone, subject: Subject, schedule: Schedule) -> None:
    """T of tracing, then per timestep one conditional, the inner steps, and one more when the budget ran out."""
    watched = Watched(backbone)
    spec = NullTextSpec(timesteps=4, inner_steps=3, stop_loss=0, stop_slope=0)

    drive(invert_null_text(spec, subject, schedule), watched)

    assert watched.rows == [1] * (4 + 4 * (1 + 3 + 1))
    assert watched.descents == [False] * 4 + [False, True, True, True, False] * 4


def test_enough_ends_a_timestep_without_a_step(backbone: Backbone, subject: Subject, schedule: Schedule) -> None:
    watched = Watched(backbone)
    spec = NullTextSpec(timesteps=4, guidance=1.5, inner_steps=3, stop_loss=1.0)

    inversion = drive(invert_null_text(spec, subject, schedule), watched)

    assert watched.descents == [False] * 4 + [False, True] * 4
    assert isinstance(inversion.conditioning, NullConditioning)
    assert torch.equal(inversion.conditioning.nulls, subject.null.expand(4, -1, -1))


def test_each_timestep_starts_from_the_one_before(backbone: Backbone, subject: Subject, schedule: Schedule) -> None:
    """At the last timesteps the loss is enough at once, so what was found before is left as it is."""
    spec = NullTextSpec(timesteps=4, guidance=1.5, inner_steps=2, stop_loss=0, stop_slope=1.0)

    inversion = drive(invert_null_text(spec, subject, schedule), backbone)

    assert isinstance(inversion.conditioning, NullConditioning)
    nulls = inversion.conditioning.nulls
    assert not torch.equal(nulls[0], subject.null)
    assert torch.equal(nulls[1:], nulls[:1].expand(3, -1, -1))

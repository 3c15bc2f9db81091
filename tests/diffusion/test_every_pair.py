"""Every inversion with every edit method: it runs and costs what is announced, or it is refused with a reason."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch

from core.diffusion.backbone import Backbone
from core.diffusion.driver import drive
from core.diffusion.inversion.inversion import Inversion
from core.diffusion.inversion.methods import invert
from core.diffusion.inversion.trace import Subject
from core.diffusion.schedule import Schedule
from core.domain.compatibility import refusal
from core.domain.costs import cost_of_edit
from core.domain.edit_parts import EditMethod
from core.domain.edit_specs import EditSpec, resolve_edit
from core.domain.inversion_specs import InversionMethod
from tests.diffusion.inverting import SPECS, edit_of, sample
from tests.diffusion.tiny import Watched

_SHORT: dict[EditMethod, dict[str, Any]] = {
    EditMethod.IMAGIC: {"embedding_steps": 2, "weight_steps": 2, "rank": 1},
    EditMethod.MASACTRL: {"start": 2},
    EditMethod.STYLE_TRANSFER: {"content_image_id": "img_content"},
}
# By name, the ones whose second editor would tell nothing new left out.
_INVERSIONS = [name for name, spec in SPECS.items() if name in {spec.method, "null_text, attention loss"}]
_KEEPS_A_STYLE = {InversionMethod.STYLEDIFFUSION, InversionMethod.VALUE_EMBEDDING}
_REFUSED = {
    (InversionMethod.EDIT_FRIENDLY, EditMethod.SDEDIT),
    *((inverter, EditMethod.STYLE_TRANSFER) for inverter in InversionMethod if inverter not in _KEEPS_A_STYLE),
}


@pytest.fixture(scope="module")
def inverted(backbone: Backbone, subject: Subject, schedule: Schedule) -> Callable[[str], Inversion]:
    """The inversion of a method, made once."""
    return cache(lambda name: drive(invert(SPECS[name], subject, schedule, seed=0), backbone))


def _spec(editor: EditMethod) -> EditSpec:
    return resolve_edit(editor, _SHORT.get(editor, {}))


@pytest.mark.parametrize("editor", EditMethod)
@pytest.mark.parametrize("name", _INVERSIONS)
def test_a_pair_runs_at_its_announced_cost_or_is_refused(
    backbone: Backbone, schedule: Schedule, inverted: Callable[[str], Inversion], name: str, editor: EditMethod
) -> None:
    inversion, spec, watched = inverted(name), _spec(editor), Watched(backbone)
    if refusal(SPECS[name], spec) is not None:
        assert (SPECS[name].method, editor) in _REFUSED
        return

    given = replace(edit_of(backbone, inversion, spec=spec), content=inversion.trace[0].flip(-1))
    edited = sample(given, schedule, spec=spec, predictor=watched)

    assert edited.latent.shape == inversion.trace[0].shape
    assert torch.isfinite(edited.latent).all()
    backwards = sum(rows for rows, descends in zip(watched.rows, watched.descents, strict=True) if descends)
    cost = cost_of_edit(spec, timesteps=len(inversion.path) - 1)
    assert sum(watched.rows) <= cost.unet_forwards
    assert backwards == cost.unet_backwards


@pytest.mark.parametrize(("inverter", "editor"), sorted(_REFUSED))
def test_a_refusal_says_what_to_do_instead(inverter: InversionMethod, editor: EditMethod) -> None:
    reason = refusal(SPECS[inverter], _spec(editor))

    assert reason is not None
    assert str(editor) in reason
    assert any(word in reason for word in ("instead", "another", "use", "with"))

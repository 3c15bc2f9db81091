"""An edit by any method that only samples, gone on with from any of its timesteps, equals one that never stopped."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import pytest
import torch
from safetensors.torch import load, save

from core.diffusion.backbone import Backbone
from core.diffusion.driver import drive
from core.diffusion.editing.methods import edit
from core.diffusion.editing.subject import Edited, EditSubject
from core.diffusion.inversion.inversion import Inversion
from core.diffusion.requests import Reached, Tensors
from core.diffusion.schedule import Schedule
from core.domain.edit_parts import EditMethod
from core.domain.edit_specs import EditSpec, resolve_edit
from tests.diffusion.inverting import edit_of

_WORDS = {"source_words": ["circle"], "target_words": ["star"]}
_CASES: dict[str, tuple[EditMethod, dict[str, Any]]] = {
    **{method: (method, {}) for method in EditMethod if method is not EditMethod.IMAGIC},
    "style_transfer": (EditMethod.STYLE_TRANSFER, {"content_image_id": "img_content"}),
    "p2p, blend": (EditMethod.P2P, {"blend": {**_WORDS, "keep_words": ["grass"], "start": 0.5}}),
    "masactrl": (EditMethod.MASACTRL, {"start": 1}),
    "sdedit": (EditMethod.SDEDIT, {"strength": 1.0}),
    "masactrl, mask": (EditMethod.MASACTRL, {"start": 1, "mask_aware": _WORDS}),
}


@dataclass(frozen=True)
class _Run:
    """An edit, and what a checkpoint of it holds after each timestep."""

    edited: Edited
    reached: list[tuple[int, int]]
    states: list[bytes]


def _run(spec: EditSpec, subject: EditSubject, schedule: Schedule, *, model: Backbone, resume: Tensors | None) -> _Run:
    reached, states = list[tuple[int, int]](), list[bytes]()

    def observe(now: Reached) -> None:
        reached.append((now.done, now.total))
        states.append(save({name: tensor.contiguous() for name, tensor in now.state().items()}))

    return _Run(drive(edit(spec, subject, schedule, seed=5, resume=resume), model, observe), reached, states)


@pytest.fixture(scope="module")
def run(backbone: Backbone, inversion: Inversion, schedule: Schedule) -> Callable[[str, bytes | None], _Run]:
    """An edit by a method, from its beginning or from a checkpoint on."""

    @cache
    def run(name: str, resume: bytes | None) -> _Run:
        method, parameters = _CASES[name]
        spec = resolve_edit(method, parameters)
        subject = replace(edit_of(backbone, inversion, spec=spec), content=inversion.trace[0].flip(-1))
        return _run(spec, subject, schedule, model=backbone, resume=None if resume is None else load(resume))

    return run


@pytest.mark.parametrize("done", range(1, 5))
@pytest.mark.parametrize("name", _CASES)
def test_a_resumed_edit_equals_the_straight_one_bit_for_bit(
    run: Callable[[str, bytes | None], _Run], name: str, done: int
) -> None:
    """From every timestep, the last one too; a style transfer also while it traces its content."""
    straight = run(name, None)
    for before in {done, len(straight.states) - 4 + done}:
        resumed = run(name, straight.states[before - 1])

        assert resumed.reached == straight.reached[before:]
        assert resumed.states == straight.states[before:]
        assert torch.equal(resumed.edited.latent, straight.edited.latent)
        assert _same(resumed.edited.region, straight.edited.region)


def _same(one: torch.Tensor | None, other: torch.Tensor | None) -> bool:
    return one is other if one is None or other is None else torch.equal(one, other)

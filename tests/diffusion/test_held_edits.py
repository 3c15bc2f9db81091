"""An edit that is held to a region: outside it the inversion's own path stands."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from core.diffusion.backbone import Backbone
from core.diffusion.driver import drive
from core.diffusion.editing.methods import edit
from core.diffusion.inversion.inversion import Inversion
from core.diffusion.requests import Reached
from core.diffusion.schedule import Schedule
from core.domain.edit_parts import Blend, MaskAware
from core.domain.edit_specs import EditSpec, MasaCtrlSpec, P2PlusSpec, P2pSpec, SdEditSpec, WordSwapSpec
from tests.diffusion.inverting import edit_of

_WORDS: dict[str, Any] = {"source_words": ("circle",), "target_words": ("star",)}
_SPECS = {
    "word_swap": WordSwapSpec(),
    "p2p": P2pSpec(),
    "p2plus": P2PlusSpec(),
    "p2plus, blended": P2PlusSpec(blend=Blend(**_WORDS, start=0.0)),
    "sdedit": SdEditSpec(strength=0.75),
    "masactrl": MasaCtrlSpec(start=1),
    "masactrl, mask-aware": MasaCtrlSpec(start=1, mask_aware=MaskAware(**_WORDS)),
}
_INSIDE = torch.zeros(16, 16, dtype=torch.bool)
_INSIDE[4:12, 2:9] = True


@pytest.mark.parametrize("spec", _SPECS.values(), ids=_SPECS)
def test_outside_the_region_the_path_stands_bit_for_bit(
    backbone: Backbone, inversion: Inversion, schedule: Schedule, spec: EditSpec
) -> None:
    held = _latents(backbone, inversion, schedule, spec=spec, region=_INSIDE)

    path = inversion.path[-len(held) :]
    assert torch.equal(held[:, :, ~_INSIDE], path[:, :, ~_INSIDE])
    assert not torch.isclose(held[-1][:, _INSIDE], path[-1][:, _INSIDE]).any()


@pytest.mark.parametrize("spec", _SPECS.values(), ids=_SPECS)
def test_a_region_of_everything_changes_nothing(
    backbone: Backbone, inversion: Inversion, schedule: Schedule, spec: EditSpec
) -> None:
    everywhere = torch.ones_like(_INSIDE)

    held, free = (_latents(backbone, inversion, schedule, spec=spec, region=each) for each in (everywhere, None))

    assert torch.equal(held, free)


def _latents(
    backbone: Backbone, inversion: Inversion, schedule: Schedule, *, spec: EditSpec, region: Tensor | None
) -> Tensor:
    """The latent after each timestep."""
    latents: list[Tensor] = []

    def observe(reached: Reached) -> None:
        latents.append(reached.latents)

    subject = replace(edit_of(backbone, inversion), region=region)
    edited = drive(edit(spec, subject, schedule, seed=0), backbone, observe)
    assert torch.equal(edited.latent, latents[-1])
    return torch.stack(latents)

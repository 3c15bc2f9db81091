"""Small inversions by every method, and what tests do with them."""

from collections.abc import Sequence
from typing import Any

import torch

from core.diffusion.backbone import Backbone
from core.diffusion.calls import Predictor, denoise_groups, descend_groups
from core.diffusion.driver import drive
from core.diffusion.editing.encoding import encode_edit
from core.diffusion.editing.methods import edit
from core.diffusion.editing.subject import Edited, EditSubject
from core.diffusion.inversion.inversion import Inversion
from core.diffusion.requests import Answer, Denoise, Descend, Reached, Result, Solver
from core.diffusion.schedule import Schedule
from core.domain.edit_specs import EditSpec, WordSwapSpec
from core.domain.inversion_parts import Correction, Feeds, Head, Threshold
from core.domain.inversion_specs import (
    DdimSpec,
    DirectSpec,
    EditFriendlySpec,
    InversionSpec,
    NegativePromptSpec,
    NullTextSpec,
    Pix2PixZeroInversionSpec,
    ProximalSpec,
    StyleDiffusionSpec,
    TextEmbeddingSpec,
    ValueEmbeddingSpec,
)

SOURCE, TARGET = "a red circle on grass", "a blue star on grass"

_SHORT: dict[str, Any] = {"timesteps": 4, "guidance": 3.0}
_FITTED: dict[str, Any] = {**_SHORT, "inner_steps": 2, "stop_loss": 0.0, "stop_slope": 0.0}

LEARNED: dict[str, InversionSpec] = {
    "stylediffusion": StyleDiffusionSpec(**_FITTED),
    "stylediffusion, last map": StyleDiffusionSpec(**_FITTED, last_map_call=True),
    "stylediffusion, keys": StyleDiffusionSpec(**_FITTED, feeds=Feeds.KEY),
    "stylediffusion, keys and values": StyleDiffusionSpec(**_FITTED, feeds=Feeds.KEY_VALUE, head=Head.REPLACE),
    "stylediffusion, no attention loss": StyleDiffusionSpec(**_FITTED, attention_loss=0.0),
    "value_embedding": ValueEmbeddingSpec(**_FITTED),
    "text_embedding": TextEmbeddingSpec(**_FITTED),
    "null_text": NullTextSpec(**_FITTED),
    "null_text, attention loss": NullTextSpec(**_FITTED, attention_loss=1.0),
}
SPECS: dict[str, InversionSpec] = {
    **LEARNED,
    "ddim": DdimSpec(**_SHORT),
    "negative_prompt": NegativePromptSpec(**_SHORT),
    "proximal": ProximalSpec(**_SHORT),
    "proximal, soft": ProximalSpec(**_SHORT, threshold=Threshold.SOFT, correction=Correction.RECONSTRUCTION),
    "proximal, published": ProximalSpec(**_SHORT, threshold=Threshold.PUBLISHED, correction_strength=0.1),
    "direct": DirectSpec(**_SHORT),
    "edit_friendly": EditFriendlySpec(**_SHORT, source_guidance=2.0),
    "pix2pix_zero": Pix2PixZeroInversionSpec(**_SHORT, regularisation_steps=1, rolls=2),
}


def edit_of(
    backbone: Backbone,
    inversion: Inversion,
    *,
    target: str = TARGET,
    source: str = SOURCE,
    guidance: float = 3.0,
    spec: EditSpec | None = None,
) -> EditSubject:
    """What an editor is given to turn `SOURCE` into `TARGET`, with the sentences of its specification."""
    chosen = spec or WordSwapSpec()
    return encode_edit(backbone, chosen, inversion, source=source, target=target, guidance=guidance)


def drive_together(solvers: Sequence[Solver[Result]], predictor: Predictor) -> list[Result]:
    """The results of solvers that share every call they can."""
    results: dict[int, Result] = {}
    answers: dict[int, Answer] = dict.fromkeys(range(len(solvers)))
    while answers:
        asked: dict[int, Any] = {}
        for n, answer in answers.items():
            try:
                asked[n] = solvers[n].send(answer)
            except StopIteration as stop:
                results[n] = stop.value
        answers = {n: None for n, request in asked.items() if isinstance(request, Reached)}
        forward = [n for n, request in asked.items() if isinstance(request, Denoise)]
        if forward:
            with torch.no_grad():
                answers |= dict(zip(forward, denoise_groups(predictor, [asked[n].rows for n in forward]), strict=True))
        descents = [n for n, request in asked.items() if isinstance(request, Descend)]
        if descents:
            answers |= dict(zip(descents, descend_groups(predictor, [asked[n] for n in descents]), strict=True))
    return [results[n] for n in range(len(solvers))]


def sample(
    subject: EditSubject,
    schedule: Schedule,
    *,
    predictor: Predictor,
    spec: EditSpec | None = None,
    seed: int = 0,
) -> Edited:
    """An edit run alone; a word swap if no method is given."""
    solver = edit(spec or WordSwapSpec(value_window=1.0), subject, schedule, seed=seed)
    return drive(solver, predictor)

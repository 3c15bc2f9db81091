"""Small inversions by every method, and what tests do with them."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from core.diffusion.calls import Predictor, denoise_groups, descend_groups
from core.diffusion.driver import drive
from core.diffusion.editing.plans import plan_edit, value_stop
from core.diffusion.editing.sampling import Edit, Edited, sample_edit
from core.diffusion.inversion.inversion import Inversion
from core.diffusion.inversion.trace import Subject
from core.diffusion.requests import Answer, Denoise, Descend, Reached, Result, Solver
from core.diffusion.schedule import Schedule
from core.domain.edit_specs import EditSpec, WordSwapSpec
from core.domain.inversion_specs import (
    Correction,
    DdimSpec,
    DirectSpec,
    EditFriendlySpec,
    Feeds,
    Head,
    InversionSpec,
    NegativePromptSpec,
    NullTextSpec,
    ProximalSpec,
    StyleDiffusionSpec,
    TextEmbeddingSpec,
    Threshold,
    ValueEmbeddingSpec,
)
from core.domain.prompts import Vocabulary

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
}


def edit_of(
    subject: Subject,
    target: Tensor,
    *,
    guidance: float = 3.0,
    spec: EditSpec | None = None,
    vocabulary: Vocabulary,
) -> Edit:
    """The edit of `SOURCE` into `TARGET`, whose embeddings are given; a word swap if no method is."""
    chosen = spec or WordSwapSpec(value_window=1.0)
    plan = plan_edit(chosen, vocabulary.parse(SOURCE), vocabulary.parse(TARGET), timesteps=4)
    return Edit(subject.source, target, plan, guidance=guidance, value_stop=value_stop(chosen, 4))


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


def sample(edit: Edit, inversion: Inversion, schedule: Schedule, *, predictor: Predictor) -> Edited:
    """An edit run alone."""
    return drive(sample_edit(edit, inversion, schedule), predictor)

"""From an editor's specification and two prompts to its plan.

Sources: word_swap, Li et al. 2023 section 4; p2p, Hertz et al. 2022, arXiv 2208.01626; p2plus, Li et al. 2023, arXiv
2303.15649, section 3.4; masactrl, Cao et al. 2023, arXiv 2304.08465.
"""

import math

import numpy as np
import torch

from core.diffusion.attention.blend import BlendRule
from core.diffusion.attention.division import Division
from core.diffusion.attention.plan import Branch, CarryWords, KeepLayout, Plan, Rule, ShareContent
from core.domain.alignment import align
from core.domain.edit_parts import Blend, Swap
from core.domain.edit_specs import EditSpec, Injection, MasaCtrlSpec, P2PlusSpec
from core.domain.prompts import Prompt


def plan_edit(spec: EditSpec, source: Prompt, target: Prompt, *, timesteps: int) -> Plan:
    """The rules of an edit over T timesteps; windows that are empty leave no rule behind.

    Raises:
        InputError: WORD_NOT_IN_PROMPT or PROMPTS_NOT_ALIGNED.
    """
    if isinstance(spec, MasaCtrlSpec):
        return _share_content(spec, source, target, timesteps=timesteps)
    if not isinstance(spec, Injection):
        return Plan()
    carry = _carry_words(spec, source, target, timesteps=timesteps)
    rules = [
        Rule(Branch.CONDITIONAL, max(carry.stops), carry),
        Rule(Branch.CONDITIONAL, int(spec.self_window * timesteps), KeepLayout()),
    ]
    if isinstance(spec, P2PlusSpec):
        rules.append(Rule(Branch.UNCONDITIONAL, int(spec.uncond_window * timesteps), KeepLayout()))
    blend = None if spec.blend is None else _blend(spec.blend, source, target, timesteps=timesteps)
    return Plan(tuple(rule for rule in rules if rule.stop > 0), blend)


def value_stop(spec: Swap, timesteps: int) -> int:
    """The first timestep at which the target's value input is its own text: the published test is i < tau_v T."""
    return math.ceil(spec.value_window * timesteps)


def cross_stop(window: float, timesteps: int) -> int:
    """The first timestep at which cross-attention is the target's own: int(tau (T + 1)), at most T.

    The published code lays its windows over T + 1 rows, self-attention's over T.
    """
    return min(int(window * (timesteps + 1)), timesteps)


def _share_content(spec: MasaCtrlSpec, source: Prompt, target: Prompt, *, timesteps: int) -> Plan:
    if spec.start >= timesteps:
        return Plan()
    rules = tuple(Rule(branch, timesteps, ShareContent(), first=spec.start) for branch in Branch)
    apart = spec.mask_aware
    if apart is None:
        return Plan(rules)
    division = Division(
        source=_positions(source, apart.source_words),
        target=_positions(target, apart.target_words),
        threshold=apart.threshold,
    )
    return Plan(rules, division=division)


def _carry_words(spec: Injection, source: Prompt, target: Prompt, *, timesteps: int) -> CarryWords:
    alignment = align(source, target, spec.cross_rule)
    stops = np.full(len(target.ids), cross_stop(spec.cross_window, timesteps))
    for word, window in spec.word_windows.items():
        stops[list(target.positions(word))] = cross_stop(window, timesteps)
    factors = torch.ones(len(target.ids), dtype=torch.float64)
    for word, factor in spec.reweight.items():
        factors[list(target.positions(word))] = factor
    return CarryWords(
        matrix=torch.from_numpy(alignment.matrix),
        kept=torch.from_numpy(alignment.kept),
        factors=factors,
        stops=tuple(int(stop) for stop in stops),
    )


def _blend(blend: Blend, source: Prompt, target: Prompt, *, timesteps: int) -> BlendRule:
    return BlendRule(
        source=_positions(source, blend.source_words),
        target=_positions(target, blend.target_words),
        keep_source=_known_positions(source, target, blend.keep_words),
        keep_target=_known_positions(target, source, blend.keep_words),
        threshold=blend.threshold,
        first=int(blend.start * timesteps),
    )


def _positions(prompt: Prompt, words: tuple[str, ...]) -> tuple[int, ...]:
    return tuple(position for word in words for position in prompt.positions(word))


def _known_positions(prompt: Prompt, other: Prompt, words: tuple[str, ...]) -> tuple[int, ...]:
    """Positions of the words that stand here; one that stands in neither prompt is an error."""
    here = [word for word in words if prompt.has(word)]
    _positions(other, tuple(word for word in words if word not in here))
    return _positions(prompt, tuple(here))

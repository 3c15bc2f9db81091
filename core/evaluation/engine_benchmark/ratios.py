"""The run in one object: how many times faster than the reference loop, and how good beside it."""

from dataclasses import asdict
from statistics import median
from typing import Any, Final

from core.evaluation.engine_benchmark.runner import EDITS, SIDES, Line, Measured

_PAIRS: Final = {
    "inversion_alone": ("engine: inversions, 1 in flight", "inversion"),
    "inversion_8_in_flight": ("engine: inversions, 8 in flight", "inversion"),
    "edit_alone": ("engine: edit", "edit"),
    "edits_8_of_one": (f"engine: {EDITS} edits of one inversion", "edit"),
    "improved_8_in_flight": ("engine: improved, 8 in flight", "inversion"),
}
PUBLISHED: Final = "a: inversion, published budget"


def ratios(measured: Measured) -> dict[str, Any]:
    """Throughput against both sides of the reference loop, paired by round, with the quality of each."""
    lines = measured.lines
    found: dict[str, Any] = {}
    for name, (ours, theirs) in _PAIRS.items():
        if ours in lines:
            against = {side: f"{side}: {theirs}" for side in SIDES}
            if name.startswith("improved"):
                against["a_published_budget"] = PUBLISHED
            found[name] = {side: _ratio(lines[line], lines[ours]) for side, line in against.items()}
            found[name]["quality"] = {
                "engine": asdict(lines[ours].quality),
                **{side: asdict(lines[line].quality) for side, line in against.items()},
            }
    return found


def as_json(measured: Measured) -> dict[str, Any]:
    """Every figure of a run."""
    crowding = measured.crowding
    return {
        "matmul_peak_flops": measured.peak,
        "lines": [{**asdict(line), "seconds": line.seconds} for line in measured.lines.values()],
        "edits_beside_inversions": {
            **asdict(crowding),
            "latency_ratio": crowding.latency_ratio,
            "throughput_kept": crowding.throughput_kept,
        },
    }


def _ratio(theirs: Line, ours: Line) -> float:
    """By job and timestep: a flat budget costs the same at every timestep, so a short run stands for a long one."""
    same = ours.timesteps / theirs.timesteps
    return round(same * median(their / our for their, our in zip(theirs.rounds, ours.rounds, strict=False)), 3)

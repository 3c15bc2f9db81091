"""From rows to rates: by kind and contender, and the paired differences to every other with their intervals."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from types import MappingProxyType
from typing import Any, Final, TypeAlias, final

import numpy as np
from numpy.typing import NDArray

from core.evaluation.benchmark_scenes.contenders import EDITORS, Contender, Kind
from core.evaluation.benchmark_scenes.rows import Row

Measure: TypeAlias = Callable[[Row], float | None]

_MEASURES: Final[Mapping[str, Measure]] = MappingProxyType(
    {
        "success": lambda row: float(row.success),
        "background_psnr": lambda row: row.background_psnr,
        "object_psnr": lambda row: row.object_psnr,
    }
)
_OURS: Final = Contender.STYLEDIFFUSION_P2PLUS
_RESAMPLES: Final = 10_000
_SEED: Final = 0  # equal rows give equal intervals


@final
@dataclass(frozen=True, slots=True)
class Rate:
    """How often a contender succeeds at one kind, and how well it keeps what it should.

    `possible` is the rate on those scenes alone whose target caption, generated from noise, reads right: where it does
    not, the model or the judge does not know the thing.
    """

    kind: Kind
    contender: Contender
    scenes: int
    success: float
    possible_scenes: int
    possible: float | None
    background_psnr: float | None
    object_psnr: float | None


@final
@dataclass(frozen=True, slots=True)
class Difference:
    """StyleDiffusion with P2Plus minus another on the same scenes: the mean and its 95 % bootstrap interval.

    Scenes are drawn anew, with all their edits, for edits of one scene are not independent.
    """

    measure: str
    kind: Kind | None  # None: all of them
    other: Contender
    scenes: int
    mean: float
    low: float
    high: float


@final
@dataclass(frozen=True, slots=True)
class Fidelity:
    """How well an inverter gives the source back and what that takes, each a mean over scenes."""

    inverter: str
    scenes: int
    psnr_source: float
    psnr_autoencoder: float
    worst_psnr_autoencoder: float
    seconds: float
    forwards: float
    backwards: float


@final
@dataclass(frozen=True, slots=True)
class Summary:
    """Everything that is told of a run."""

    rates: tuple[Rate, ...]
    differences: tuple[Difference, ...]
    fidelities: tuple[Fidelity, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain lists and numbers."""
        return {name: [asdict(one) for one in getattr(self, name)] for name in ("rates", "differences", "fidelities")}


def summarise(rows: Sequence[Row]) -> Summary:
    """The figures of a run, whole or not; what has no row is left out."""
    possible = {(row.scene, row.kind) for row in rows if row.contender is Contender.GENERATION and row.success}
    rates = [
        _rate(kind, contender, chosen, possible=possible)
        for kind in Kind
        for contender in Contender
        if (chosen := [row for row in rows if row.kind is kind and row.contender is contender])
    ]
    return Summary(tuple(rates), tuple(_differences(rows)), tuple(_fidelities(rows)))


def _rate(kind: Kind, contender: Contender, rows: list[Row], *, possible: set[tuple[int, Kind]]) -> Rate:
    able = [row for row in rows if (row.scene, kind) in possible]
    return Rate(
        kind=kind,
        contender=contender,
        scenes=len(rows),
        success=_mean([row.success for row in rows]),
        possible_scenes=len(able),
        possible=_mean([row.success for row in able]) if able else None,
        background_psnr=_mean_or_none([row.background_psnr for row in rows]),
        object_psnr=_mean_or_none([row.object_psnr for row in rows]),
    )


def _differences(rows: Sequence[Row]) -> Iterator[Difference]:
    for name, measure in _MEASURES.items():
        for kind, other in product((None, *Kind), EDITORS):
            if other is _OURS:
                continue
            pairs = _pairs([row for row in rows if kind in {None, row.kind}], other, measure)
            if pairs:
                yield Difference(name, kind, other, len(pairs), *paired_interval(list(pairs.values())))


def _pairs(rows: Sequence[Row], other: Contender, measure: Measure) -> dict[int, list[float]]:
    """Ours minus theirs, by scene, where both have a value."""
    theirs = {(row.scene, row.kind): measure(row) for row in rows if row.contender is other}
    pairs: dict[int, list[float]] = {}
    for row in rows:
        ours, its = measure(row), theirs.get((row.scene, row.kind))
        if row.contender is _OURS and ours is not None and its is not None:
            pairs.setdefault(row.scene, []).append(ours - its)
    return pairs


def paired_interval(clusters: Sequence[Sequence[float]]) -> tuple[float, float, float]:
    """The mean of paired differences and its 95 % percentile bootstrap interval, whole clusters drawn anew."""
    sums = np.array([sum(cluster) for cluster in clusters])
    sizes = np.array([len(cluster) for cluster in clusters])
    drawn = np.random.default_rng(_SEED).integers(len(clusters), size=(_RESAMPLES, len(clusters)))
    means: NDArray[np.float64] = sums[drawn].sum(1) / sizes[drawn].sum(1)
    low, high = np.quantile(means, (0.025, 0.975))
    return float(sums.sum() / sizes.sum()), float(low), float(high)


def _fidelities(rows: Sequence[Row]) -> Iterator[Fidelity]:
    for inverter in dict.fromkeys(one.inverter for one in EDITORS):
        # One inversion serves several rows.
        once = {row.scene: row for row in rows if row.contender.inverter == inverter and row.inversion is not None}
        chosen = [(row, row.inversion) for row in once.values() if row.inversion is not None]
        if not chosen or inverter is None:
            continue
        by_autoencoder = [row.reconstruction_psnr_autoencoder or 0.0 for row, _ in chosen]
        yield Fidelity(
            inverter=inverter.value,
            scenes=len(chosen),
            psnr_source=_mean([row.reconstruction_psnr or 0.0 for row, _ in chosen]),
            psnr_autoencoder=_mean(by_autoencoder),
            worst_psnr_autoencoder=min(by_autoencoder),
            seconds=_mean([effort.seconds for _, effort in chosen]),
            forwards=_mean([effort.forwards for _, effort in chosen]),
            backwards=_mean([effort.backwards for _, effort in chosen]),
        )


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))


def _mean_or_none(values: Sequence[float | None]) -> float | None:
    there = [value for value in values if value is not None]
    return _mean(there) if there else None

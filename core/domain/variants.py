"""Several results of one edit: by other seeds, or by a search over a small grid of settings."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, final

from core.domain.compatibility import refusal
from core.domain.costs import Cost, cost_of_edit
from core.domain.edit_parts import EditMethod
from core.domain.edit_specs import EditSpec, P2PlusSpec, resolve_edit
from core.domain.errors import ErrorCode, FieldError, InputError
from core.domain.inversion_specs import InversionSpec

MOST_RESULTS: Final = 8
# Of a search that does not say how many pictures to keep.
_KEPT_OF_A_SEARCH: Final = 4

_STOCHASTIC: Final = frozenset({EditMethod.SDEDIT, EditMethod.IMAGIC})


_WINDOWS: Final = ("value_window", "cross_window", "self_window", "uncond_window")

# Names, and a row of values for each try. Published with the paper's code (Li et al. 2023): the general setting, two
# for large changes of structure, and those of its examples; then one of our own for another shape, and null-text
# inversion's for P2P.
_GRID: Final[Mapping[EditMethod, tuple[tuple[str, ...], tuple[tuple[float, ...], ...]]]] = {
    EditMethod.P2PLUS: (
        _WINDOWS,
        (
            (0.5, 0.6, 0.6, 0.0),
            (0.5, 0.6, 0.6, 0.5),
            (0.2, 0.6, 0.6, 0.5),
            (0.5, 0.6, 0.8, 0.5),
            (0.6, 0.6, 0.8, 0.5),
            (0.6, 0.2, 0.6, 0.4),
            (0.1, 0.2, 0.2, 0.0),
            (0.2, 0.3, 0.2, 0.2),
        ),
    ),
    EditMethod.P2P: (_WINDOWS[:3], ((0.5, 0.6, 0.6), (0.1, 0.2, 0.2), (0.5, 0.8, 0.5))),
    EditMethod.WORD_SWAP: (_WINDOWS[:1], ((0.5,),)),
    EditMethod.MASACTRL: ((), ((),)),
    EditMethod.SDEDIT: (("strength",), ((0.4,), (0.5,), (0.6,), (0.7,), (0.8,))),
}
# SDEdit keeps least of the picture: it is searched only by who names it.
_OPEN: Final = (EditMethod.P2PLUS, EditMethod.P2P, EditMethod.WORD_SWAP, EditMethod.MASACTRL)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Variety:
    """How many results of one edit, and whether their settings are searched for.

    Args:
        count: pictures to keep; None is 1, or 4 of a search.
        search: try the grid instead of one setting.
        given: the names that the caller gave a value, which a search leaves alone: parameters, and `method`.
    """

    count: int | None = None
    search: bool = False
    given: tuple[str, ...] = ()

    @property
    def kept(self) -> int:
        """The most pictures that are kept."""
        return self.count or (_KEPT_OF_A_SEARCH if self.search else 1)

    @property
    def several(self) -> bool:
        """Whether results are ranked."""
        return self.search or self.kept > 1

    def to_inputs(self) -> dict[str, Any]:
        """As a job's inputs hold it: nothing of one plain result."""
        searched = {"search": True, "given": list(self.given)} if self.search else {}
        return {"count": self.kept, **searched} if self.several else {}

    @classmethod
    def of_inputs(cls, inputs: Mapping[str, Any]) -> "Variety":
        """What `to_inputs` wrote."""
        return cls(count=inputs.get("count"), search=inputs.get("search", False), given=tuple(inputs.get("given", ())))


ONE: Final = Variety()


@final
@dataclass(frozen=True, slots=True)
class Candidate:
    """One setting to try."""

    spec: EditSpec
    seed: int


def grid_of(method: EditMethod) -> tuple[Mapping[str, float], ...]:
    """What a search tries of a method; nothing where it cannot be searched."""
    names, rows = _GRID.get(method, ((), ()))
    return tuple(dict(zip(names, row, strict=True)) for row in rows)


def is_stochastic(method: EditMethod) -> bool:
    """Whether another seed gives another result."""
    return method in _STOCHASTIC


def check_variety(spec: EditSpec, variety: Variety) -> None:
    """Refuses several results where they would all be one, and a search without a grid.

    Raises:
        InputError: VALIDATION, pointing at the field.
    """
    if variety.search and not grid_of(spec.method):
        searched = ", ".join(_GRID)
        _refuse("/search", f"There are no settings of {spec.method} to search; there are of {searched}.")
    if variety.kept > 1 and not variety.search and not is_stochastic(spec.method):
        _refuse(
            "/count",
            f"{spec.method} draws nothing, so its {variety.kept} results would be one and the same; send search: true "
            "to try other settings, or an edit that draws: sdedit or imagic.",
        )


def candidates(spec: EditSpec, inversion: InversionSpec, *, seed: int, variety: Variety = ONE) -> tuple[Candidate, ...]:
    """What is run, in a fixed order; the same arguments give the same candidates on every machine.

    A search takes every row of the grid that the given values leave, of the given method or of several. An editor
    that lacks a given parameter, or cannot be sampled from the inversion, is left out.
    """
    if not variety.search:
        return tuple(Candidate(spec, seed + n) for n in range(variety.kept))
    dumped = spec.model_dump(mode="json")
    given = {name: dumped[name] for name in variety.given if name != "method"}
    methods = (spec.method,) if "method" in variety.given else _OPEN
    found: dict[str, EditSpec] = {}
    for method in methods:
        for row in grid_of(method):
            one = _resolved(method, {**row, **given})
            if one is not None and refusal(inversion, one) is None:
                found.setdefault(_effect(one), one)
    return tuple(Candidate(one, seed) for one in found.values())


def cost_of(chosen: tuple[Candidate, ...], *, timesteps: int) -> Cost:
    """Of all candidates together."""
    total = Cost(unet_forwards=0, unet_backwards=0)
    for one in chosen:
        total += cost_of_edit(one.spec, timesteps=timesteps)
    return total


def _resolved(method: EditMethod, parameters: Mapping[str, Any]) -> EditSpec | None:
    try:
        return resolve_edit(method, parameters)
    except InputError:
        return None  # a given parameter is another editor's


def _effect(spec: EditSpec) -> str:
    """Equal for specifications that give the same picture: P2Plus without its window is P2P."""
    if isinstance(spec, P2PlusSpec) and spec.uncond_window == 0.0:
        return _effect(resolve_edit(EditMethod.P2P, spec.model_dump(exclude={"method", "uncond_window"})))
    return spec.model_dump_json()


def _refuse(pointer: str, detail: str) -> None:
    raise InputError(ErrorCode.VALIDATION, detail, errors=(FieldError(pointer=pointer, detail=detail),))

"""What a solver yields and what it is sent back.

A solver is a generator: straight-line numerical code that yields `Denoise`, `Descend` or `Reached` and is sent a
`Denoised`, a `Descended` or None. It never calls the UNet, so one driver can run one solver or an engine many at once.
A solver must not yield inside `no_grad` or `autocast`.
"""

from collections.abc import Callable, Generator, Hashable, Mapping
from dataclasses import dataclass
from typing import TypeAlias, TypeVar, cast, final

from jaxtyping import Float, Int
from torch import Tensor

from core.diffusion.attention.control import Carry
from core.diffusion.attention.reroute import Reroute, Split
from core.diffusion.attention.sites import Site, SitePredicate

Tensors: TypeAlias = dict[str, Tensor]


@final
@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """A row group: latents that are denoised in one call because some look at others; never split.

    `values` feeds the value layers of cross-attention and `keys` the key layers; `low_rank` are the weights that all
    rows have of their own, as `LowRank` names them; the rest is `Control`, with row numbers counted within the group.
    All rows stand at one timestep. `shared` marks the last rows: those of equal marks are equal in every group, look at
    no other row, and are computed once in a call.
    """

    latents: Float[Tensor, "n c h w"]
    timestep: int
    keys: Float[Tensor, "n tokens width"]
    values: Float[Tensor, "n tokens width"]
    reroutes: tuple[Reroute, ...] = ()
    split: Split | None = None
    carry: Carry | None = None
    features: Int[Tensor, " n"] | None = None
    low_rank: Mapping[str, Tensor] | None = None
    record: SitePredicate | None = None
    shared: tuple[Hashable, ...] = ()


@final
@dataclass(frozen=True, slots=True, eq=False)
class Denoised:
    """The UNet's output for a row group and the recorded maps [n, heads, pixels, tokens], precise as the latents."""

    output: Float[Tensor, "n c h w"]
    maps: Mapping[Site, Tensor]


@final
@dataclass(frozen=True, slots=True, eq=False)
class Denoise:
    """Asks for one forward pass without gradient."""

    rows: Rows


@final
@dataclass(frozen=True, slots=True, eq=False)
class Descend:
    """Asks for one forward pass, the loss, and its gradient in the solver's own leaves: all or nothing.

    Both callables may be called again: a call that ran out of memory is split and repeated.

    Args:
        rows: builds the row group, with the graph from the leaves to `keys`, `values` or `latents`.
        loss: maps the answer to a scalar.
        leaves: the tensors whose `grad` is set, in place of what it was.
        enough: the gradient is left out when the loss is below this.
        count: the number of rows that `rows` builds.
    """

    rows: Callable[[], Rows]
    loss: Callable[[Denoised], Float[Tensor, ""]]
    leaves: tuple[Tensor, ...]
    enough: float = 0.0
    count: int = 1


@final
@dataclass(frozen=True, slots=True, eq=False)
class Descended:
    """The loss before the step, the detached output it was measured on, and whether it was already enough."""

    loss: float
    output: Float[Tensor, "n c h w"]
    enough: bool


@final
@dataclass(frozen=True, slots=True, eq=False)
class Reached:
    """A timestep is done; what the driver makes progress, previews and checkpoints of.

    Args:
        done: units of work finished.
        total: units in all.
        latents: what a preview shows.
        state: everything `resume` needs to go on from here; called before the solver goes on.
    """

    done: int
    total: int
    latents: Float[Tensor, "c h w"]
    state: Callable[[], Tensors]


Request: TypeAlias = Denoise | Descend | Reached
Answer: TypeAlias = Denoised | Descended | None
Result = TypeVar("Result")
Solver: TypeAlias = Generator[Request, Answer, Result]


def denoise(rows: Rows) -> Generator[Request, Answer, Denoised]:
    """A forward pass, for `yield from`: what a driver sends back, with its type."""
    return cast(Denoised, (yield Denoise(rows)))


def descend(
    rows: Callable[[], Rows], loss: Callable[[Denoised], Tensor], *, leaves: tuple[Tensor, ...], enough: float
) -> Generator[Request, Answer, Descended]:
    """A gradient pass, for `yield from`: what a driver sends back, with its type."""
    return cast(Descended, (yield Descend(rows, loss, leaves, enough)))

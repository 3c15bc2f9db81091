"""A solver on its way through the engine."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, Generic, TypeAlias, final

from core.diffusion.placement import place_groups
from core.diffusion.requests import Denoise, Descend, Reached, Request, Result, Solver


@final
@dataclass(frozen=True, slots=True)
class Ran(Generic[Result]):
    """A solver's result and the UNet rows it took; rows that solvers share count for the first of a call."""

    result: Result
    forwards: int
    backwards: int


@final
@dataclass(slots=True, eq=False)
class Flight:
    """One solver on its way: the request it waits for, and the way back to the thread that runs it."""

    solver: Solver[Any]
    place: int  # among the solvers that its caller runs together
    events: "Events"
    check: Callable[[], None]  # raises when its caller wants no further call
    request: Request | None = None
    forwards: int = 0
    backwards: int = 0

    def tell(self, event: Reached | Ran[Any] | BaseException) -> None:
        """Hands an event to the thread that waits for it."""
        self.events.put((self, event))

    @property
    def rows(self) -> int:
        """Rows of what it asks for."""
        match self.request:
            case Denoise(rows=rows):
                return len(rows.latents)
            case Descend(count=count):
                return count
            case _:
                return 0

    @property
    def descends(self) -> bool:
        """Whether it asks for a gradient."""
        return isinstance(self.request, Descend)

    @property
    def likeness(self) -> object:
        """Requests that share a call have this in common: the kind of pass and the sites that are recorded."""
        return self.descends, self.request.rows.record if isinstance(self.request, Denoise) else None


Events: TypeAlias = SimpleQueue[tuple[Flight, Reached | Ran[Any] | BaseException]]


def count_forwards(batch: Sequence[Flight]) -> None:
    """Notes what each added to a call that was made for all of them."""
    places = place_groups([flight.request.rows for flight in batch if isinstance(flight.request, Denoise)])
    counts = [len(place.brought) for place in places] or [flight.rows for flight in batch]
    for flight, count in zip(batch, counts, strict=True):
        flight.forwards += count

"""One model on one device, every solver in flight in one batch.

Solvers yield requests; the engine gathers those that wait, makes one UNet call for those alike, and sends each solver
its rows. Solvers join and leave between calls. Only the engine's own thread advances them; the thread that called
`run` sees the finished timesteps and may stop its solver there without touching the others.

Forward passes go before descents, within bounds (`turns.py`): a short edit does not wait behind long inversions, and
inversions that only need a forward pass catch up and share the others' next descent.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, Generic, TypeAlias, final

import torch

from core.diffusion.calls import Predictor, denoise_groups, descend_groups
from core.diffusion.placement import place_groups
from core.diffusion.requests import Answer, Denoise, Descend, Descended, Reached, Request, Result, Solver
from core.diffusion.turns import Turns


@final
@dataclass(frozen=True, slots=True)
class Ran(Generic[Result]):
    """A solver's result and the UNet rows it took."""

    result: Result
    forwards: int
    backwards: int


@final
@dataclass(slots=True, eq=False)
class _Flight:
    """One solver on its way: the request it waits for, and the way back to the thread that runs it."""

    solver: Solver[Any]
    place: int  # among the solvers that its caller runs together
    events: "_Events"
    request: Request | None = None
    forwards: int = 0
    backwards: int = 0

    def tell(self, event: Reached | Ran[Any] | BaseException) -> None:
        """Hands an event to the thread that waits for it."""
        self.events.put((self, event))


_Events: TypeAlias = SimpleQueue[tuple[_Flight, Reached | Ran[Any] | BaseException]]


@final
class Engine:
    """Runs solvers from any number of threads in shared calls.

    A call has at most `max_rows` rows, or `max_descents` where it keeps a graph for its gradient; one that runs out of
    memory is halved, and so is its limit. Before a call, solvers that have just finished a timestep get
    `patience_seconds` to come back: those alike share it then, and an edit does not wait for a descent between.
    """

    def __init__(
        self, predictor: Predictor, *, max_rows: int = 32, max_descents: int = 16, patience_seconds: float = 0.005
    ) -> None:
        self._predictor = predictor
        self._limits = {False: max_rows, True: max_descents}  # by whether the call is a descent
        self._turns = Turns()
        self._patience_seconds = patience_seconds
        self._away: dict[_Flight, float] = {}  # since when its caller looks at a finished timestep
        self._wake = threading.Condition()
        self._arrivals: list[tuple[_Flight, Answer]] = []
        self._leavers: list[_Flight] = []
        self._waiting: list[_Flight] = []
        self._closed = False
        self._thread = threading.Thread(target=self._loop, name="engine", daemon=True)
        self._thread.start()

    def run(self, solver: Solver[Result], observe: Callable[[Reached], None]) -> Ran[Result]:
        """Drives a solver to its end.

        `observe` is called in the caller's thread at every finished timestep; what it raises ends this solver alone.
        """
        (ran,) = self.run_all([solver], lambda _, reached: observe(reached))
        return ran

    def run_all(self, solvers: Sequence[Solver[Result]], observe: Callable[[int, Reached], None]) -> list[Ran[Result]]:
        """Drives several solvers to their ends side by side.

        Each finishes a timestep before any begins the next, so that those alike share every call. `observe` is told
        the solver's place too. What it raises, or a solver of these, ends them all.
        """
        events: _Events = SimpleQueue()
        flights = [_Flight(solver, place, events) for place, solver in enumerate(solvers)]
        ran: dict[int, Ran[Result]] = {}
        ready = list(flights)
        try:
            while len(ran) < len(flights):
                if len(ready) + len(ran) == len(flights):
                    self._tell(self._arrivals, [(flight, None) for flight in ready])
                    ready = []
                flight, event = _next_of(events)
                if isinstance(event, Reached):
                    observe(flight.place, event)
                    ready.append(flight)
                else:
                    ran[flight.place] = event
        except BaseException:
            self._tell(self._leavers, flights)
            raise
        return [ran[place] for place in range(len(flights))]

    def close(self) -> None:
        """Ends the engine's thread; solvers still in flight fail."""
        with self._wake:
            self._closed = True
            self._wake.notify()
        self._thread.join()

    def _tell(self, box: list[Any], entries: Sequence[object]) -> None:
        with self._wake:
            if self._closed:
                raise RuntimeError("the engine is closed")
            box.extend(entries)
            self._wake.notify()

    def _loop(self) -> None:
        while self._admit():
            if self._waiting and not self._patience():
                self._serve(self._next_batch())
        for flight in self._waiting:
            flight.tell(RuntimeError("the engine was closed"))

    def _admit(self) -> bool:
        """Takes in arrivals and lets go of leavers; sleeps while there is nothing to do."""
        with self._wake:
            self._wake.wait_for(lambda: self._closed or self._arrivals or self._leavers, self._patience())
            arrivals, leavers = list(self._arrivals), list(self._leavers)
            self._arrivals.clear()
            self._leavers.clear()
            closed = self._closed
        for flight in leavers:
            self._away.pop(flight, None)
            flight.solver.close()
            flight.request = None
        self._waiting = [flight for flight in self._waiting if flight.request is not None]
        for flight, answer in arrivals:
            self._away.pop(flight, None)
            self._advance(flight, answer)
        return not closed

    def _patience(self) -> float | None:
        """Seconds that those who are away are waited for; no end where nobody waits for a call."""
        if not self._waiting:
            return None
        if not self._away:
            return 0.0
        return max(0.0, max(self._away.values()) + self._patience_seconds - time.monotonic())

    def _next_batch(self) -> list[_Flight]:
        """Those of one kind whose turn it is, alike with the one that waited longest, as many as a call may hold."""
        rows = Counter[bool]()
        for flight in self._waiting:
            rows[_descends(flight)] += _row_count(flight)
        descends = self._turns.descends(forwards=rows[False], descents=rows[True])
        first = next(flight for flight in self._waiting if _descends(flight) is descends)
        batch, left, room = list[_Flight](), list[_Flight](), self._limits[descends]
        for flight in self._waiting:
            if _likeness(flight) == _likeness(first) and (not batch or _row_count(flight) <= room):
                batch.append(flight)
                room -= _row_count(flight)
            else:
                left.append(flight)
        self._waiting = left
        self._turns.take(sum(map(_row_count, batch)), descends=descends, others_wait=rows[not descends] > 0)
        return batch

    def _serve(self, batch: list[_Flight]) -> None:
        """Answers a batch; one that fails is halved until the failing solver stands alone."""
        try:
            answers = self._call([flight.request for flight in batch])
        except Exception as error:  # noqa: BLE001 - whatever a solver's loss raises belongs to its own caller
            if len(batch) == 1:
                batch[0].tell(error)
                return
            if isinstance(error, torch.OutOfMemoryError):
                self._limits[_descends(batch[0])] = (sum(map(_row_count, batch)) + 1) // 2
                self._waiting = [*batch, *self._waiting]
                return
            self._serve(batch[: len(batch) // 2])
            self._serve(batch[len(batch) // 2 :])
            return
        for flight, answer, rows in zip(batch, answers, _rows_brought(batch), strict=True):
            flight.forwards += rows
            if isinstance(answer, Descended) and not answer.enough:
                flight.backwards += _row_count(flight)
            self._advance(flight, answer)

    def _call(self, requests: Sequence[Request | None]) -> Sequence[Answer]:
        descents = [request for request in requests if isinstance(request, Descend)]
        if descents:
            return descend_groups(self._predictor, descents)
        groups = [request.rows for request in requests if isinstance(request, Denoise)]
        with torch.no_grad():
            return denoise_groups(self._predictor, groups)

    def _advance(self, flight: _Flight, answer: Answer) -> None:
        """Sends a solver its answer and puts what it asks next where it belongs."""
        try:
            flight.request = flight.solver.send(answer)
        except StopIteration as stop:
            flight.tell(Ran(stop.value, flight.forwards, flight.backwards))
        except Exception as error:  # noqa: BLE001 - it belongs to the thread that runs this solver
            flight.tell(error)
        else:
            if isinstance(flight.request, Reached):
                self._away[flight] = time.monotonic()
                flight.tell(flight.request)
            else:
                self._waiting.append(flight)


def _next_of(events: _Events) -> tuple[_Flight, Reached | Ran[Any]]:
    """What happens next to one of the flights; a failure is raised."""
    flight, event = events.get()
    if isinstance(event, BaseException):
        raise event
    return flight, event


def _row_count(flight: _Flight) -> int:
    match flight.request:
        case Denoise(rows=rows):
            return len(rows.latents)
        case Descend(count=count):
            return count
        case _:
            return 0


def _rows_brought(batch: Sequence[_Flight]) -> list[int]:
    """Rows that each added to a call; one that several share is counted where it came first."""
    groups = [flight.request.rows for flight in batch if isinstance(flight.request, Denoise)]
    return [len(place.brought) for place in place_groups(groups)] or [_row_count(flight) for flight in batch]


def _descends(flight: _Flight) -> bool:
    return isinstance(flight.request, Descend)


def _likeness(flight: _Flight) -> object:
    """Requests that share a call have this in common: the kind of pass and the sites that are recorded."""
    request = flight.request
    return _descends(flight), request.rows.record if isinstance(request, Denoise) else None

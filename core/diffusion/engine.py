"""One model on one device, every solver in flight in one batch.

Solvers yield requests; the engine gathers those that wait, makes one UNet call for those alike, and sends each solver
its rows. Solvers join and leave between calls. Only the engine's own thread advances them; the thread that called
`run` sees the finished timesteps and may stop its solver there, or between two calls, without touching the others.

Forward passes go before descents, within bounds (`turns.py`): a short edit does not wait behind long inversions, and
inversions that only need a forward pass catch up and share the others' next descent.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Any, final

import torch

from core.diffusion.calls import Predictor, denoise_groups, descend_groups
from core.diffusion.flights import Events, Flight, Ran, count_forwards
from core.diffusion.requests import Answer, Denoise, Descend, Descended, Reached, Request, Result, Solver
from core.diffusion.turns import Turns


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
        self._away: dict[Flight, float] = {}  # since when its caller looks at a finished timestep
        self._wake = threading.Condition()
        self._arrivals: list[tuple[Flight, Answer]] = []
        self._leavers: list[Flight] = []
        self._waiting: list[Flight] = []
        self._closed = False
        self._thread = threading.Thread(target=self._loop, name="engine", daemon=True)
        self._thread.start()

    def run(self, solver: Solver[Result], observe: Callable[[Reached], None]) -> Ran[Result]:
        """Drives a solver to its end.

        `observe` is called in the caller's thread at every finished timestep; what it raises ends this solver alone.
        """
        (ran,) = self.run_all([solver], lambda _, reached: observe(reached))
        return ran

    def run_all(
        self,
        solvers: Sequence[Solver[Result]],
        observe: Callable[[int, Reached], None],
        *,
        check: Callable[[], None] = lambda: None,
    ) -> list[Ran[Result]]:
        """Drives several solvers to their ends side by side.

        Each finishes a timestep before any begins the next, so that those alike share every call. `observe` is told
        the solver's place too. `check` is called in the engine's thread before every call and returns at once. What
        one of them raises, or a solver of these, ends them all.
        """
        events: Events = SimpleQueue()
        flights = [Flight(solver, place, events, check) for place, solver in enumerate(solvers)]
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
                self._dismiss()
                if self._waiting:
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

    def _dismiss(self) -> None:
        """Those that their callers want no more have no part in the next call."""
        wanted = list[Flight]()
        for flight in self._waiting:
            try:
                flight.check()
            except Exception as error:  # noqa: BLE001 - it belongs to the thread that runs this solver
                flight.tell(error)
            else:
                wanted.append(flight)
        self._waiting = wanted

    def _patience(self) -> float | None:
        """Seconds that those who are away are waited for; no end where nobody waits for a call."""
        if not self._waiting:
            return None
        if not self._away:
            return 0.0
        return max(0.0, max(self._away.values()) + self._patience_seconds - time.monotonic())

    def _next_batch(self) -> list[Flight]:
        """Those of one kind whose turn it is, alike with the one that waited longest, as many as a call may hold."""
        rows = Counter[bool]()
        for flight in self._waiting:
            rows[flight.descends] += flight.rows
        descends = self._turns.descends(forwards=rows[False], descents=rows[True])
        first = next(flight for flight in self._waiting if flight.descends is descends)
        batch, left, room = list[Flight](), list[Flight](), self._limits[descends]
        for flight in self._waiting:
            if flight.likeness == first.likeness and (not batch or flight.rows <= room):
                batch.append(flight)
                room -= flight.rows
            else:
                left.append(flight)
        self._waiting = left
        self._turns.take(sum(flight.rows for flight in batch), descends=descends, others_wait=rows[not descends] > 0)
        return batch

    def _serve(self, batch: list[Flight]) -> None:
        """Answers a batch; one that fails is halved until the failing solver stands alone."""
        try:
            answers = self._call([flight.request for flight in batch])
        except Exception as error:  # noqa: BLE001 - whatever a solver's loss raises belongs to its own caller
            if len(batch) == 1:
                batch[0].tell(error)
                return
            if isinstance(error, torch.OutOfMemoryError):
                self._limits[batch[0].descends] = (sum(flight.rows for flight in batch) + 1) // 2
                self._waiting = [*batch, *self._waiting]
                return
            self._serve(batch[: len(batch) // 2])
            self._serve(batch[len(batch) // 2 :])
            return
        count_forwards(batch)
        for flight, answer in zip(batch, answers, strict=True):
            if isinstance(answer, Descended) and not answer.enough:
                flight.backwards += flight.rows
            self._advance(flight, answer)

    def _call(self, requests: Sequence[Request | None]) -> Sequence[Answer]:
        descents = [request for request in requests if isinstance(request, Descend)]
        if descents:
            return descend_groups(self._predictor, descents)
        groups = [request.rows for request in requests if isinstance(request, Denoise)]
        with torch.no_grad():
            return denoise_groups(self._predictor, groups)

    def _advance(self, flight: Flight, answer: Answer) -> None:
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


def _next_of(events: Events) -> tuple[Flight, Reached | Ran[Any]]:
    """What happens next to one of the flights; a failure is raised."""
    flight, event = events.get()
    if isinstance(event, BaseException):
        raise event
    return flight, event

"""The engine with several in flight: each gets what it would have got alone, whatever happens to the others."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, final

import pytest
import torch
from torch import Tensor

from core.diffusion.attention.control import Control
from core.diffusion.backbone import Backbone
from core.diffusion.driver import drive
from core.diffusion.editing.methods import edit
from core.diffusion.engine import Engine
from core.diffusion.flights import Ran
from core.diffusion.inversion.inversion import Inversion
from core.diffusion.inversion.methods import invert
from core.diffusion.inversion.trace import Subject
from core.diffusion.requests import Answer, Denoised, Reached, Request, Rows, Solver, descend
from core.diffusion.schedule import Schedule
from core.diffusion.turns import Turns
from core.domain.edit_specs import WordSwapSpec
from core.domain.inversion_specs import DdimSpec, InversionSpec, NullTextSpec, StyleDiffusionSpec
from core.domain.studio import Interrupted, StopReason
from tests.diffusion.inverting import edit_of
from tests.diffusion.tiny import Watched

FITTED: dict[str, Any] = {"timesteps": 4, "guidance": 3.0, "inner_steps": 3, "stop_loss": 0.0, "stop_slope": 0.0}
SPECS: list[InversionSpec] = [
    StyleDiffusionSpec(**FITTED),
    NullTextSpec(**FITTED),
    DdimSpec(timesteps=4, guidance=3.0),
    StyleDiffusionSpec(**{**FITTED, "stop_loss": 1.0}),
]


@final
class Small:
    """A device whose memory holds so many rows."""

    def __init__(self, backbone: Backbone, rows: int) -> None:
        self._backbone = backbone
        self._rows = rows
        self.asked: list[int] = []

    def predict(self, latents: Tensor, timesteps: Tensor, keys: Tensor, *, control: Control | None) -> Tensor:
        self.asked.append(len(latents))
        if len(latents) > self._rows:
            raise torch.OutOfMemoryError("too many rows")
        return self._backbone.predict(latents, timesteps, keys, control=control)


@final
class Gate:
    """Lets no call through before it is opened, so that all solvers meet in the engine."""

    def __init__(self, predictor: Watched | Small) -> None:
        self._predictor = predictor
        self.open = threading.Event()

    def predict(self, latents: Tensor, timesteps: Tensor, keys: Tensor, *, control: Control | None) -> Tensor:
        assert self.open.wait(30)
        return self._predictor.predict(latents, timesteps, keys, control=control)


@pytest.fixture
def start() -> Iterator[Callable[[Watched | Small, Sequence[Solver[Any]]], list[Future[Ran[Any]]]]]:
    """Runs solvers from a thread each in one engine."""
    engines: list[Engine] = []

    def run(predictor: Watched | Small, solvers: Sequence[Solver[Any]]) -> list[Future[Ran[Any]]]:
        gate = Gate(predictor)
        engine = Engine(gate)
        engines.append(engine)
        with ThreadPoolExecutor(len(solvers)) as pool:
            futures = [pool.submit(engine.run, solver, lambda _: None) for solver in solvers]
            gate.open.set()
        return futures

    yield run
    for engine in engines:
        engine.close()


Start = Callable[[Any, Sequence[Solver[Any]]], list[Future[Ran[Any]]]]


def _same(ran: Ran[Inversion], alone: Inversion) -> None:
    torch.testing.assert_close(ran.result.path, alone.path, rtol=0, atol=1e-8)
    assert ran.result.losses == pytest.approx(alone.losses, abs=1e-9)


def test_inversions_of_every_length_get_what_they_would_alone(
    backbone: Backbone, subject: Subject, schedule: Schedule, start: Start
) -> None:
    watched = Watched(backbone)

    futures = start(watched, [invert(spec, subject, schedule, seed=0) for spec in SPECS])

    for spec, future in zip(SPECS, futures, strict=True):
        _same(future.result(), drive(invert(spec, subject, schedule, seed=0), backbone))
    assert max(watched.rows) > 1


def test_one_that_had_enough_makes_room_at_once(
    backbone: Backbone, subject: Subject, schedule: Schedule, start: Start
) -> None:
    """It takes one pass a timestep and no gradient, while the other takes all of its own."""
    futures = start(Watched(backbone), [invert(spec, subject, schedule, seed=0) for spec in (SPECS[0], SPECS[3])])

    full, early = (future.result() for future in futures)
    assert (full.forwards, full.backwards) == (4 + 4 * (1 + 3 + 1), 12)
    assert (early.forwards, early.backwards) == (4 + 4 * (1 + 1), 0)


def test_a_call_out_of_memory_is_halved_and_the_engine_remembers(
    backbone: Backbone, subject: Subject, schedule: Schedule, start: Start
) -> None:
    small, spec = Small(backbone, 2), SPECS[0]

    futures = start(small, [invert(spec, subject, schedule, seed=0) for _ in range(6)])

    alone = drive(invert(spec, subject, schedule, seed=0), backbone)
    for future in futures:
        _same(future.result(), alone)
    refused = [rows for rows in small.asked if rows > 2]
    assert 1 <= len(refused) <= 4  # 6, then 3, of each kind of pass
    assert small.asked[-1] == small.asked[-3] == 2


def _failing(subject: Subject) -> Solver[None]:
    """Descends twice; its second loss raises."""
    leaf = subject.source.clone().requires_grad_()
    asked = 0

    def rows() -> Rows:
        return Rows(subject.latent[None], 1, keys=subject.source[None], values=leaf[None])

    def loss(seen: Denoised) -> Tensor:
        nonlocal asked
        asked += 1
        if asked > 1:
            raise FloatingPointError("the loss is no number")
        return seen.output.square().mean()

    for _ in range(3):
        yield from descend(rows, loss, leaves=(leaf,), enough=0.0)


def test_a_solver_that_fails_leaves_the_others_untouched(
    backbone: Backbone, subject: Subject, schedule: Schedule, start: Start
) -> None:
    solvers = [_failing(subject), *(invert(spec, subject, schedule, seed=0) for spec in SPECS[:2])]

    failed, *others = start(Watched(backbone), solvers)

    with pytest.raises(FloatingPointError):
        failed.result()
    for spec, other in zip(SPECS[:2], others, strict=True):
        _same(other.result(), drive(invert(spec, subject, schedule, seed=0), backbone))


def _noting(solver: Solver[Any], asked: list[Request]) -> Solver[Any]:
    """The same solver; its requests for calls are noted."""
    answer: Answer = None
    while True:
        try:
            request = solver.send(answer)
        except StopIteration as stop:
            return stop.value
        if not isinstance(request, Reached):
            asked.append(request)
        answer = yield request


def test_one_that_is_stopped_leaves_between_two_calls_and_the_others_untouched(
    backbone: Backbone, subject: Subject, schedule: Schedule
) -> None:
    """It has a hundred calls a timestep, and is told after twenty."""
    asked, engine = list[Request](), Engine(Watched(backbone), patience_seconds=5.0)
    solver = _noting(invert(StyleDiffusionSpec(**{**FITTED, "inner_steps": 100}), subject, schedule, seed=0), asked)

    def check() -> None:
        if len(asked) >= 20:
            raise Interrupted(StopReason.CANCELED)

    with ThreadPoolExecutor() as pool:
        other = pool.submit(engine.run, invert(SPECS[0], subject, schedule, seed=0), lambda _: None)
        with pytest.raises(Interrupted):
            engine.run_all([solver], lambda *_: None, check=check)
    engine.close()

    assert len(asked) <= 22
    _same(other.result(), drive(invert(SPECS[0], subject, schedule, seed=0), backbone))


def test_one_that_is_stopped_takes_those_that_run_with_it_along(
    backbone: Backbone, subject: Subject, schedule: Schedule
) -> None:
    asked, watched, alone = list[Request](), Watched(backbone), Watched(backbone)
    engine = Engine(watched)
    solvers = [_noting(invert(spec, subject, schedule, seed=0), asked) for spec in SPECS]

    def check() -> None:
        if len(asked) >= 30:
            raise Interrupted(StopReason.CANCELED)

    with pytest.raises(Interrupted):
        engine.run_all(solvers, lambda *_: None, check=check)
    calls = len(watched.rows)
    engine.run(invert(SPECS[2], subject, schedule, seed=0), lambda _: None)
    engine.close()
    drive(invert(SPECS[2], subject, schedule, seed=0), alone)

    assert len(asked) <= 30 + len(SPECS)
    assert watched.rows[calls:] == alone.rows  # the engine goes on, with nothing left of the others


def test_an_edit_does_not_wait_for_a_descent_at_every_timestep(
    backbone: Backbone, subject: Subject, schedule: Schedule, inversion: Inversion
) -> None:
    """Its eight rows are less work than one descent of four inversions, so it waits for two at most."""
    watched, during = Watched(backbone), list[int]()
    spec = StyleDiffusionSpec(**{**FITTED, "inner_steps": 12})
    engine = Engine(watched, patience_seconds=5.0)

    def arrive(place: int, reached: Reached) -> None:
        if (place, reached.done) == (0, 5):
            thread.start()

    def run_edit() -> None:
        solver = edit(WordSwapSpec(), edit_of(backbone, inversion), schedule, seed=0)
        while not any(watched.descents[-1:]):
            pass
        began = len(watched.rows)
        engine.run(solver, lambda _: None)
        during.append(sum(watched.descents[began:]))

    thread = threading.Thread(target=run_edit)
    engine.run_all([invert(spec, subject, schedule, seed=0) for _ in range(4)], arrive)
    thread.join(30)
    engine.close()

    assert during[0] <= 2


@pytest.mark.parametrize("forwards", [1, 6, 24])
def test_forward_passes_take_half_of_the_work(forwards: int) -> None:
    """A stream of forward passes without end, beside eight rows that descend."""
    turns, work = Turns(), {True: 0, False: 0}
    for _ in range(1000):
        descends = turns.descends(forwards=forwards, descents=8)
        rows = 8 if descends else forwards
        turns.take(rows, descends=descends, others_wait=True)
        work[descends] += rows * (3 if descends else 1)

    assert work[False] / sum(work.values()) == pytest.approx(0.5, abs=0.05)


def test_nobody_waits_for_those_who_are_not_there() -> None:
    turns = Turns()
    for _ in range(100):
        assert not turns.descends(forwards=4, descents=0)
        turns.take(4, descends=False, others_wait=False)

    assert not turns.descends(forwards=1, descents=1)
    assert turns.descends(forwards=0, descents=1)

"""Two applications under the same requests in turns, and one with and without callers who wait."""

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

from tests.load.open_loop import Answer, Request, Target, offer, percentiles
from tests.load.stack import Stack
from tests.load.traffic import GETS, POSTS, Kind
from tests.load.waiting import waiting

_CROWDED_ROUNDS: Final = 3

Requests: TypeAlias = Callable[[], Sequence[Request]]


def compare(
    targets: tuple[Target, Target], requests: tuple[Requests, Requests], *, rounds: int, per_second: float
) -> dict[str, Any]:
    """Percentiles by kind, and those of the first target as multiples of the second's, for reads and for writes."""
    ours: list[Answer] = []
    others: list[Answer] = []
    for number in range(rounds + 1):
        # Who begins changes, so that what comes and goes on the machine meets both alike.
        turns = [(targets[0], requests[0], ours), (targets[1], requests[1], others)]
        for target, make, kept in turns if number % 2 else reversed(turns):
            answers = offer(target, make(), per_second=per_second)
            if number:
                kept.extend(answers)
    both = [*ours, *others]
    return {
        "failed": sum(not 200 <= answer.status < 300 for answer in both),
        "milliseconds": {kind: percentiles(_of(both, kind)) for kind in Kind},
        "times_the_bare_application": {
            "GET": _ratios(_of(ours, *GETS), _of(others, Kind.BARE_GET)),
            "POST": _ratios(_of(ours, *POSTS), _of(others, Kind.BARE_POST)),
            **{kind: _ratios(_of(ours, kind), _of(others, Kind.BARE_POST)) for kind in POSTS},
        },
    }


def crowd(
    stack: Stack, target: Target, reads: Sequence[Request], *, job_ids: Sequence[str], per_second: float
) -> dict[str, Any]:
    """Percentiles of reads without and with a caller who waits for each of these jobs."""
    alone: list[Answer] = []
    beside: list[Answer] = []
    for _ in range(_CROWDED_ROUNDS):
        alone += offer(target, reads, per_second=per_second)
        with waiting(stack, job_ids):
            beside += offer(target, reads, per_second=per_second)
    return {
        "waiting": len(job_ids),
        "failed": sum(answer.status != 200 for answer in (*alone, *beside)),
        "milliseconds": {"alone": percentiles(alone), "beside": percentiles(beside)},
    }


def _of(answers: Sequence[Answer], *kinds: Kind) -> list[Answer]:
    return [answer for answer in answers if answer.request.kind in kinds]


def _ratios(ours: Sequence[Answer], others: Sequence[Answer]) -> dict[str, float]:
    mine, theirs = percentiles(ours), percentiles(others)
    return {share: round(value / theirs[share], 2) for share, value in mine.items()}

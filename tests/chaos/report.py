"""What a run has shown, as lines to read."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, final

from tests.chaos import drains, endings, results, verdicts
from tests.chaos.evidence import Evidence
from tests.chaos.recovery import percentile, recoveries
from tests.chaos.verdicts import Verdict

_SHOWN = 5  # of what broke one promise
_LOST: Final = verdicts.nothing_is_lost
_DOUBLE: Final = (verdicts.each_ends_once, verdicts.zombies_are_refused, verdicts.a_key_makes_one_job)
_DANGLING: Final = results.nothing_dangles
_OTHERS: Final[Sequence[Callable[[Evidence], Verdict]]] = (
    results.results_are_right,
    verdicts.dead_workers_are_replaced,
    drains.drained_workers_hand_over,
    verdicts.little_work_is_repeated,
    verdicts.only_poison_is_given_up,
    endings.cancels_are_heeded,
    endings.deadlines_are_kept,
    verdicts.ends_are_told,
    verdicts.redis_is_not_needed,
)
_NOT_SEEN = "Not exercised here: P11 (fairness) and P12 (hostile input)."


@final
@dataclass(frozen=True, slots=True)
class Report:
    """The verdict on each promise, and the line that sums them up."""

    lines: Sequence[str]
    last: str
    holds: bool


def judge(evidence: Evidence) -> Report:
    """Looks at every promise."""
    lost, dangling = _LOST(evidence), _DANGLING(evidence)
    double = [look(evidence) for look in _DOUBLE]
    others = [look(evidence) for look in _OTHERS]
    everything = sorted([lost, dangling, *double, *others], key=lambda verdict: verdict.promise)
    p99 = percentile(sorted(one.seconds for one in recoveries(evidence)), 0.99)
    doubled = sum(len(verdict.broken) for verdict in double)
    last = f"{len(evidence.jobs)} jobs, {len(lost.broken)} lost, {doubled} double, {len(dangling.broken)} dangling, "
    last += f"recovery p99 {p99:.1f} s"
    lines = [_broken(evidence), _ended(evidence), *(line for verdict in everything for line in _told(verdict))]
    return Report([*lines, _NOT_SEEN], last, holds=not any(verdict.broken for verdict in everything))


def _broken(evidence: Evidence) -> str:
    counts = Counter(deed.name for deed in evidence.deeds)
    return "Broken: " + ", ".join(f"{name} {count} times" for name, count in sorted(counts.items())) + "."


def _ended(evidence: Evidence) -> str:
    counts = Counter(job["state"] for job in evidence.jobs.values())
    return "Ended: " + ", ".join(f"{count} {state}" for state, count in sorted(counts.items())) + "."


def _told(verdict: Verdict) -> list[str]:
    mark = "BROKEN" if verdict.broken else "holds"
    shown = [f"    {what}" for what in verdict.broken[:_SHOWN]]
    more = [f"    and {len(verdict.broken) - _SHOWN} more"] if len(verdict.broken) > _SHOWN else []
    return [f"{mark:6} {verdict.promise}: {verdict.seen}", *shown, *more]

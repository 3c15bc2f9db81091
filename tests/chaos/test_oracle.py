"""What the oracle says of evidence that was forged, so that each of its verdicts is seen to fail."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.chaos import drains, endings, results, verdicts
from tests.chaos.evidence import Evidence
from tests.chaos.forging import (
    ID,
    START,
    WORKER,
    backwards,
    canceled,
    change,
    due,
    evidence,
    handed_over,
    history,
    job,
    lapse,
    refusing,
)
from tests.chaos.history import Change
from tests.chaos.ledger import Fate, Ledger
from tests.chaos.monkey import POSTGRES_STOPPED, WORKER_DRAINED, Deed
from tests.chaos.recovery import repeated
from tests.chaos.report import judge
from tests.chaos.sink import Sink
from tests.chaos.verdicts import Verdict

EPOCH = START.timestamp()
CANCELED = {"fence": 2, "attempt": 2, "cancel_requested": True}
DRAIN = Deed(WORKER_DRAINED, EPOCH + 1.5, EPOCH + 1.5, worker=WORKER)


def test_sound_evidence_breaks_no_promise() -> None:
    report = judge(evidence())

    assert report.holds
    assert report.last == "1 jobs, 0 lost, 0 double, 0 dangling, recovery p99 7.0 s"


def _foreign_result() -> Evidence:
    row = job()
    row["artifacts"][0]["key"] = f"acme/jobs/{ID}/1/inversion"
    return evidence(jobs={ID: row}, objects=dict.fromkeys((one["key"] for one in row["artifacts"]), (1, "")))


def _other_digest() -> Evidence:
    row = job()
    row["artifacts"][0]["sha256"] = "0" * 64
    return evidence(jobs={ID: row})


def _zombie() -> list[Change]:
    key = f"acme/jobs/{ID}/1/checkpoint-3"
    return [replace(one, checkpoint_key=key) if one.timestep == 3 else one for one in history()]


def _late(seconds: float) -> list[Change]:
    """The next attempt begins so much later."""
    return [one if one.number < 9000 else replace(one, at=one.at + timedelta(seconds=seconds)) for one in history()]


BROKEN: dict[str, tuple[Callable[[Evidence], Verdict], Callable[[], Evidence]]] = {
    "a job that is gone": (verdicts.nothing_is_lost, lambda: evidence(ledger=Ledger(fates={"inv_2": Fate.SUCCEEDS}))),
    "a job that never ends": (verdicts.nothing_is_lost, lambda: evidence(jobs={ID: job(state="queued")})),
    "a second end": (
        verdicts.each_ends_once,
        lambda: evidence(history=[*history(), change(12, "succeeded", "succeeded", result_changed=True)]),
    ),
    "a result of another attempt": (verdicts.each_ends_once, _foreign_result),
    "a late recovery": (verdicts.dead_workers_are_replaced, lambda: evidence(history=_late(10))),
    "work done twice": (
        verdicts.little_work_is_repeated,
        lambda: evidence(history=[replace(one, checkpoint_key=None) for one in history()]),
    ),
    "an innocent job given up": (
        verdicts.only_poison_is_given_up,
        lambda: evidence(jobs={ID: job(state="failed", error={"code": "POISON"})}),
    ),
    "a zombie's checkpoint": (verdicts.zombies_are_refused, lambda: evidence(history=_zombie())),
    "two jobs of one key": (
        verdicts.a_key_makes_one_job,
        lambda: evidence(jobs={ID: job(), "inv_2": job(id="inv_2")}),
    ),
    "a canceled job that is begun": (
        endings.cancels_are_heeded,
        lambda: evidence(history=[*history()[:4], change(9, "queued", "running", **CANCELED)]),
    ),
    "an end that nobody was told": (verdicts.ends_are_told, lambda: evidence(deliveries=[])),
    "a delivery that never arrived": (verdicts.ends_are_told, lambda: evidence(sink=Sink(Ledger()))),
    "a delivery that was refused alone": (verdicts.ends_are_told, lambda: evidence(sink=refusing())),
    "a delivery that arrived and is not known to": (
        verdicts.ends_are_told,
        lambda: evidence(deliveries=[{"id": "msg_1", "subject_id": ID, "state": "pending", "tries": 1}]),
    ),
    "an answer that no caller should get": (
        verdicts.redis_is_not_needed,
        lambda: evidence(ledger=Ledger(refusals=["/edits: 500"])),
    ),
    "a look at readiness that does not name the broker": (
        verdicts.redis_is_not_needed,
        lambda: evidence(ledger=Ledger(counts=Counter({"asked without Redis": 2, "told without Redis": 1}))),
    ),
    "no post accepted without Redis": (
        verdicts.redis_is_not_needed,
        lambda: evidence(ledger=Ledger(posted_without_redis=[EPOCH])),
    ),
    "a checkpoint of less than was kept": (verdicts.zombies_are_refused, lambda: evidence(history=backwards())),
    "a success long after its cancel": (endings.cancels_are_heeded, lambda: evidence(history=canceled(10.0))),
    "a cancel that ends late": (
        endings.cancels_are_heeded,
        lambda: evidence(history=canceled(10.0, state="canceled")),
    ),
    "a cancel of a lost attempt that ends late": (
        endings.cancels_are_heeded,
        lambda: evidence(history=canceled(20.0, state="canceled", lease_before=START + timedelta(seconds=8))),
    ),
    "a success long after its deadline": (endings.deadlines_are_kept, lambda: due(EPOCH)),
    "a deadline that is not kept at all": (
        endings.deadlines_are_kept,
        lambda: evidence(ledger=Ledger(fates={ID: Fate.EXPIRES})),
    ),
    "a drained worker whose job waits for its lease": (
        drains.drained_workers_hand_over,
        lambda: evidence(deeds=[DRAIN]),
    ),
    "a drained worker whose job is never given back": (
        drains.drained_workers_hand_over,
        lambda: evidence(deeds=[DRAIN], history=history()[:3]),
    ),
    "a handing over that uses up an attempt": (
        drains.drained_workers_hand_over,
        lambda: evidence(deeds=[DRAIN], history=handed_over(attempt=1)),
    ),
    "a late handing over": (
        drains.drained_workers_hand_over,
        lambda: evidence(deeds=[DRAIN], history=handed_over(seconds=12)),
    ),
    "a drain that left no trace": (
        drains.drained_workers_hand_over,
        lambda: evidence(deeds=[DRAIN], history=[replace(one, writer=None) for one in history()]),
    ),
    "bytes that are not there": (
        results.nothing_dangles,
        lambda: evidence(objects=dict.fromkeys(evidence().objects)),
    ),
    "an object of nobody": (results.nothing_dangles, lambda: evidence(strays=["acme/jobs/inv_1/1/preview-1.png"])),
    "a result that a straight run does not give": (results.results_are_right, _other_digest),
}


@pytest.mark.parametrize("name", BROKEN)
def test_the_oracle_notices(name: str) -> None:
    look, forge = BROKEN[name]

    assert look(evidence()).broken == []
    assert look(forge()).broken


HELD: dict[str, tuple[Callable[[Evidence], Verdict], Callable[[], Evidence]]] = {
    "a success soon after its cancel": (endings.cancels_are_heeded, lambda: evidence(history=canceled(5.0))),
    "a cancel of a lost attempt": (
        endings.cancels_are_heeded,
        lambda: evidence(history=canceled(10.0, state="canceled", lease_before=START + timedelta(seconds=8))),
    ),
    "a cancel while the database is away": (
        endings.cancels_are_heeded,
        lambda: evidence(history=canceled(10.0), deeds=[Deed(POSTGRES_STOPPED, EPOCH + 3, EPOCH + 8)]),
    ),
    "a success at the sweep after its deadline": (endings.deadlines_are_kept, lambda: due(EPOCH + 8)),
    "a handing over": (
        drains.drained_workers_hand_over,
        lambda: evidence(deeds=[DRAIN], history=handed_over()),
    ),
    "a drain of another worker": (
        drains.drained_workers_hand_over,
        lambda: evidence(deeds=[replace(DRAIN, worker=12)]),
    ),
    "a post that the database may have refused": (
        verdicts.redis_is_not_needed,
        lambda: evidence(
            ledger=Ledger(posted_without_redis=[EPOCH + 4]), deeds=[Deed(POSTGRES_STOPPED, EPOCH, EPOCH + 3)]
        ),
    ),
}


@pytest.mark.parametrize("name", HELD)
def test_the_oracle_holds_nothing_against(name: str) -> None:
    look, forge = HELD[name]

    assert look(forge()).broken == []


def test_a_stopped_database_is_not_held_against_a_recovery() -> None:
    away = [Deed(POSTGRES_STOPPED, EPOCH + 7, EPOCH + 18)]  # ten seconds of it after the lease's end

    found = verdicts.dead_workers_are_replaced(evidence(history=_late(10), deeds=away))

    assert found.broken == []


def test_a_single_worker_is_held_to_no_recovery_time() -> None:
    found = verdicts.dead_workers_are_replaced(evidence(history=_late(10), workers=1))

    assert found.broken == ()
    assert found.seen.endswith("were there another worker")


def test_an_attempt_that_did_nothing_repeats_nothing() -> None:
    unlucky = lapse(15.5, lease=15, fence=2, attempt=2, timestep_before=2, timestep=2)

    assert list(repeated([*history()[:5], unlucky])) == [0, 0]


def test_a_checkpoint_that_was_not_used_counts_as_repeated_work() -> None:
    again = change(10, "running", "running", fence=2, attempt=2, timestep_before=2, timestep=1)

    assert list(repeated([*history()[:5], again])) == [2]


def test_a_broken_promise_is_told_in_the_last_line() -> None:
    report = judge(evidence(strays=["a", "b"], jobs={ID: job(state="running")}))

    assert not report.holds
    assert report.last == "1 jobs, 1 lost, 0 double, 2 dangling, recovery p99 7.0 s"

"""Batches: accepted whole, started little by little, counted, stopped, repeated, and read in the order of results."""

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest

from core.domain.batch import Batch, BatchFilter, BatchItem, BatchState, ItemState
from core.domain.errors import ErrorCode, NotFound
from core.domain.job import Job, JobClass, JobKind, JobState
from core.domain.ports import Claim, JobFilter, Outcome
from core.storage.transaction import Transaction
from core.usecases.batches import cancel_batch, get_batch, list_batches, retry_failed
from core.usecases.jobs import list_jobs, retry_job
from core.usecases.tending import tend_batches
from tests.stack.batching import BAD, counted, item, read, refused, results, send, tend
from tests.stack.fakes import FAILURE, SUCCESS, CountingWakeUps, cancel, claim, finish, load, try_claim
from tests.stack.submitting import ACME, Caller


def _work(caller: Caller, outcome: Outcome = SUCCESS) -> Job | None:
    claimed = try_claim(caller.database, model=caller.model.identity)
    if claimed is None:
        return None
    assert finish(caller.database, claimed, outcome)
    return claimed.job


def _work_off(caller: Caller) -> list[Job]:
    done = []
    while (job := _work(caller)) is not None:
        done.append(job)
    return done


def _claimed(caller: Caller) -> Claim:
    return claim(caller.database, model=caller.model.identity)


def test_a_batch_is_done_item_by_item_and_its_results_are_read_in_their_order(caller: Caller) -> None:
    batch = send(caller, [item(0, caller.image(1)), refused(1), item(2, caller.image(2))])
    accepted = read(caller, batch)
    tend(caller, batch)
    done = _work_off(caller)
    ended = read(caller, batch)

    assert counted(accepted) == {"waiting": 2, "failed": 1}
    assert [job.kind for job in done] == [JobKind.INVERSION, JobKind.EDIT] * 2
    assert {job.job_class for job in done} == {JobClass.BATCH}
    assert (ended.state, counted(ended)) == (BatchState.ENDED, {"succeeded": 2, "failed": 1})
    found = results(caller, batch)
    assert [(one.item.custom_id, one.item.state) for one in found] == [
        (None, ItemState.FAILED),
        ("item-0", ItemState.SUCCEEDED),
        ("item-2", ItemState.SUCCEEDED),
    ]
    assert found[0].item.error == BAD
    assert found[1].job is not None
    assert found[1].job.metadata == {"line": "0"}


def test_results_are_read_while_the_batch_runs_and_each_of_them_once(caller: Caller) -> None:
    images = [caller.image(shade) for shade in range(4)]
    batch = send(caller, [item(number, image) for number, image in enumerate(images)])
    tend(caller, batch)
    seen: list[str | None] = []
    after = 0
    while _work(caller) is not None:
        for result in results(caller, batch, after=after):
            seen.append(result.item.custom_id)
            after = result.sequence

    assert seen == [f"item-{number}" for number in range(4)]
    assert read(caller, batch).state is BatchState.ENDED


def test_every_item_is_counted_once_wherever_it_stands(caller: Caller) -> None:
    batch = send(caller, [item(number, caller.image(number)) for number in range(3)])
    tend(caller, batch)
    at_first = counted(read(caller, batch))
    _work(caller)
    inverted = counted(read(caller, batch))
    _claimed(caller)

    assert at_first == {"waiting": 3}
    assert inverted == {"waiting": 2, "queued": 1}
    assert counted(read(caller, batch)) == {"waiting": 2, "running": 1}


def test_items_with_equal_images_share_one_inversion(caller: Caller) -> None:
    image = caller.image()
    batch = send(caller, [item(number, image, seed=number) for number in range(5)])
    tend(caller, batch)

    jobs = list_jobs(caller.database, JobFilter(tenant="acme", batch_id=batch.id))
    assert [job.kind for job in jobs].count(JobKind.INVERSION) == 1
    assert len(jobs) == 6
    assert list_jobs(caller.database, JobFilter(tenant="acme", batch_id="bat_other")) == []


def test_a_retried_item_outlives_the_inversion_of_its_batch_that_is_being_canceled(caller: Caller) -> None:
    image = caller.image()
    batch = send(caller, [item(0, image, inversion="inv_none"), item(1, image)])
    tend(caller, batch)
    running = _claimed(caller)
    cancel(caller.database, running.job)

    edit = _repeat_as(caller, batch, item(0, image))
    finish(caller.database, running, Outcome(state=JobState.CANCELED))

    assert edit.depends_on not in {None, running.job.id}
    assert [job.id for job in _work_off(caller)] == [edit.depends_on, edit.id]


def test_a_retried_item_does_not_end_with_its_batch_s_old_deadline(caller: Caller) -> None:
    image = caller.image()
    bad = item(0, image, inversion="inv_none")
    batch = send(caller, [bad, item(1, image)], expires_in_seconds=3600)
    tend(caller, batch)
    (inversion,) = list_jobs(caller.database, JobFilter(tenant="acme", kind=JobKind.INVERSION))

    edit = _repeat_as(caller, batch, item(0, image))

    own = next(job for job in list_jobs(caller.database, JobFilter(tenant="acme")) if job.id == edit.depends_on)
    assert own.leader == inversion.id
    assert own.deadline_at == edit.deadline_at == read(caller, batch).deadline_at
    assert own.deadline_at != inversion.deadline_at


def test_a_retried_item_shares_the_finished_inversion_of_its_batch(caller: Caller) -> None:
    image = caller.image()
    bad = item(0, image, inversion="inv_none")
    batch = send(caller, [bad, item(1, image)], expires_in_seconds=3600)
    tend(caller, batch)
    inversion = _work(caller)

    edit = _repeat_as(caller, batch, item(0, image))

    assert inversion is not None
    assert edit.depends_on == inversion.id


def test_items_started_at_different_times_share_one_inversion_until_their_deadline(caller: Caller) -> None:
    image = caller.image()
    items = [item(number, image, seed=number) for number in range(25)]  # in two commits
    batch = send(caller, items, expires_in_seconds=86_399.123457)
    tend_batches(caller.database, caller.wakeups, caller.model)

    assert len(list_jobs(caller.database, JobFilter(tenant="acme", kind=JobKind.INVERSION))) == 1
    assert read(caller, batch).unstarted == 0


def test_a_person_who_waits_for_a_batch_s_inversion_takes_it_out_of_the_batch_s_line(caller: Caller) -> None:
    batch = send(caller, [item(0, caller.image(1)), item(1, caller.image(2))])
    tend(caller, batch)
    single = caller.invert(shade=2)
    edits = list_jobs(caller.database, JobFilter(tenant="acme", kind=JobKind.EDIT))

    first = _claimed(caller).job

    assert (first.id, first.job_class) == (single.leader, JobClass.INTERACTIVE)
    assert {job.job_class for job in edits} == {JobClass.BATCH}


def test_a_batch_s_duplicate_leaves_its_leader_in_its_line(caller: Caller) -> None:
    image = caller.image()
    tend(caller, send(caller, [item(0, image)]))
    tend(caller, send(caller, [item(0, image)]))

    assert _claimed(caller).job.job_class is JobClass.BATCH


def _repeat_as(caller: Caller, batch: Batch, changed: BatchItem) -> Job:
    """Tries an item again that was at fault and is not any more; its edit."""
    retry_failed(caller.database, "acme", batch.id)
    with caller.database.begin() as uow:
        uow.batches.amend(batch, [changed])
        uow.commit()
    tend(caller, batch)
    jobs = list_jobs(caller.database, JobFilter(tenant="acme", batch_id=batch.id, kind=JobKind.EDIT))
    return next(job for job in jobs if job.batch_item == changed.number)


def test_a_batch_that_was_accepted_by_a_process_killed_at_once_is_done_all_the_same(
    caller: Caller, wakeups: CountingWakeUps
) -> None:
    batch = send(caller, [item(number, caller.image(number)) for number in range(3)])
    sent = wakeups.sent

    # Another process, which knows nothing but the database, sweeps.
    tended = tend_batches(caller.database, wakeups, caller.model)

    assert (tended, wakeups.sent) == (1, sent + 3)
    _work_off(caller)
    assert counted(read(caller, batch)) == {"succeeded": 3}
    assert tend_batches(caller.database, wakeups, caller.model) == 0


def test_no_more_items_are_started_than_the_window_holds(caller: Caller) -> None:
    image = caller.image()
    batch = send(caller, [item(number, image, seed=number) for number in range(30)])
    tend_batches(caller.database, caller.wakeups, caller.model, window=24)
    full = read(caller, batch).unstarted
    for _ in range(3):
        _work(caller)
    tend_batches(caller.database, caller.wakeups, caller.model, window=24)

    assert (full, read(caller, batch).unstarted) == (6, 4)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"target_prompt": "a circle " * 250}, ErrorCode.PROMPT_TOO_LONG),
        ({"parameters": {"reweight": {"zebra": 2.0}}}, ErrorCode.WORD_NOT_IN_PROMPT),
        ({"inversion": "inv_none"}, ErrorCode.NOT_FOUND),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_item_at_fault_fails_alone_and_leaves_nothing_behind(
    caller: Caller, changes: dict[str, object], code: ErrorCode
) -> None:
    batch = send(caller, [item(0, caller.image(1), **changes), item(1, caller.image(2))])
    tend(caller, batch)
    _work_off(caller)

    assert counted(read(caller, batch)) == {"succeeded": 1, "failed": 1}
    first = results(caller, batch)[0].item
    assert first.error is not None
    assert (first.number, first.error.code) == (0, code)
    assert len(list_jobs(caller.database, JobFilter(tenant="acme"))) == 2


def test_after_a_cancellation_nothing_of_the_batch_starts(caller: Caller) -> None:
    batch = send(caller, [item(number, caller.image(number)) for number in range(25)])
    tend(caller, batch)
    for _ in range(3):
        _work(caller)
    running = _claimed(caller)

    canceling, _ = cancel_batch(caller.database, "acme", batch.id)
    tend_batches(caller.database, caller.wakeups, caller.model)

    assert try_claim(caller.database, model=caller.model.identity) is None
    assert canceling.state is BatchState.CANCELING
    assert load(caller.database, running.job).cancel_requested
    finish(caller.database, running, Outcome(state=JobState.CANCELED))
    ended = read(caller, batch)
    assert (ended.state, counted(ended)) == (BatchState.ENDED, {"succeeded": 1, "canceled": 24})
    assert len({result.item.number for result in results(caller, batch)}) == 25
    assert cancel_batch(caller.database, "acme", batch.id) == (ended, False)


def test_a_canceled_batch_leaves_others_what_they_need_of_it(caller: Caller) -> None:
    image = caller.image()
    batch = send(caller, [item(0, image)])
    tend(caller, batch)
    (inversion,) = list_jobs(caller.database, JobFilter(tenant="acme", kind=JobKind.INVERSION))
    single = caller.edit(inversion.id)
    other = send(caller, [item(0, caller.image(7)), item(1, image)])
    tend(caller, other)
    follower = caller.invert(shade=7)

    cancel_batch(caller.database, "acme", batch.id)
    cancel_batch(caller.database, "acme", other.id)

    assert load(caller.database, inversion).state is JobState.QUEUED
    assert load(caller.database, single).state is JobState.WAITING
    assert load(caller.database, follower).state is JobState.QUEUED
    assert {job.id for job in _work_off(caller)} == {inversion.id, single.id, follower.id}


def test_more_failures_than_allowed_stop_the_batch(caller: Caller) -> None:
    batch = send(caller, [refused(0), *(item(n, caller.image(n)) for n in range(1, 25))], max_failures=1)
    tend(caller, batch)
    allowed = read(caller, batch)
    _work(caller, FAILURE)
    stopped = tend(caller, batch)

    assert allowed.state is BatchState.IN_PROGRESS
    assert (stopped.state, counted(stopped)) == (BatchState.ENDED, {"failed": 2, "canceled": 23})
    errors = [result.item.error or (result.job and result.job.error) for result in results(caller, batch)]
    stopping = "The batch was stopped: 2 items have failed, and it allows 1."
    assert sum(error is not None and error.detail == stopping for error in errors) == 23


def test_what_is_left_of_a_batch_past_its_time_expires(caller: Caller) -> None:
    batch = send(caller, [item(number, caller.image(number)) for number in range(25)], expires_in_seconds=3600)
    tend(caller, batch)
    _work(caller)
    _work(caller)
    with caller.database.begin() as uow:
        uow._tx._now = uow.now() + timedelta(hours=2)  # type: ignore[attr-defined]
        uow.jobs.expire_deadlines(limit=1000)
        uow.commit()
    late = send(caller, [item(0, caller.image(99))], expires_in_seconds=-1)
    expired = tend(caller, late)

    assert counted(read(caller, batch)) == {"waiting": 5, "succeeded": 1, "expired": 19}
    assert (expired.state, counted(expired)) == (BatchState.ENDED, {"expired": 1})
    assert results(caller, late)[0].item.error is not None


def test_failed_items_are_tried_again_and_no_others(caller: Caller) -> None:
    bad = item(1, caller.image(2), inversion="inv_none")
    batch = send(caller, [item(0, caller.image(1)), bad, refused(2), item(3, caller.image(3))])
    tend(caller, batch)
    _work(caller, FAILURE)
    _work_off(caller)
    before = results(caller, batch)
    failed = next(result.job for result in before if result.item.number == 0)
    assert failed is not None

    waiting = retry_failed(caller.database, "acme", batch.id)
    tend(caller, batch)
    _work_off(caller)

    assert (waiting.state, counted(waiting)) == (BatchState.IN_PROGRESS, {"waiting": 2, "succeeded": 1, "failed": 1})
    ended = read(caller, batch)
    assert (ended.state, counted(ended)) == (BatchState.ENDED, {"succeeded": 2, "failed": 2})
    news = results(caller, batch, after=before[-1].sequence)
    assert {result.item.number: result.item.state.value for result in news} == {0: "succeeded", 1: "failed"}
    again = next(result.job for result in news if result.item.number == 0)
    assert again is not None
    assert again.retry_of == failed.id


def test_however_often_it_is_tried_again_a_batch_has_the_time_it_was_given(
    caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = send(caller, [item(0, caller.image(), inversion="inv_none")], expires_in_seconds=3600)
    begun, left = batch.created_at, []
    for hours in (5, 10, 15):
        tend(caller, batch)
        moment = begun + timedelta(hours=hours)
        monkeypatch.setattr(Transaction, "_read_clock", lambda _, moment=moment: moment)
        again = retry_failed(caller.database, "acme", batch.id)
        assert again.deadline_at is not None
        left.append(again.deadline_at - moment)

    assert left == [timedelta(hours=1)] * 3


def test_an_item_points_to_the_newest_job_that_repeats_it(caller: Caller) -> None:
    batch = send(caller, [item(0, caller.image(1)), item(1, caller.image(2))])
    tend(caller, batch)
    edits = list_jobs(caller.database, JobFilter(tenant="acme", kind=JobKind.EDIT))
    edit = next(job for job in edits if job.batch_item == 0)
    cancel(caller.database, edit)
    _work_off(caller)
    ended = read(caller, batch)

    again = retry_job(caller.database, caller.wakeups, caller.model, order=ACME, job_id=edit.id)
    reopened = read(caller, batch)
    _work_off(caller)

    assert counted(ended) == {"succeeded": 1, "canceled": 1}
    assert (reopened.state, counted(reopened)) == (BatchState.IN_PROGRESS, {"succeeded": 1, "queued": 1})
    assert counted(read(caller, batch)) == {"succeeded": 2}
    assert [result.job.id for result in results(caller, batch) if result.item.number == 0 and result.job] == [again.id]


def test_tenants_see_their_own_batches_page_by_page(caller: Caller) -> None:
    image = caller.image()
    ours = [send(caller, [item(0, image)]) for _ in range(3)]
    theirs = send(caller, [item(0, "img_none")], tenant="other")

    with pytest.raises(NotFound):
        get_batch(caller.database, "acme", theirs.id)
    first = list_batches(caller.database, BatchFilter(tenant="acme", limit=2))
    last = first[-1]
    rest = list_batches(caller.database, BatchFilter(tenant="acme", after=(last.created_at, last.id)))
    assert [batch.id for batch in (*first, *rest)] == [batch.id for batch in reversed(ours)]
    with pytest.raises(NotFound):
        results(caller, replace(theirs, tenant="acme"))


def test_a_single_edit_starts_before_a_batch_of_another(caller: Caller) -> None:
    batch = send(caller, [item(number, caller.image(number)) for number in range(10)])
    tend(caller, batch)
    _claimed(caller)
    single = caller.invert(replace(ACME, tenant="other"))

    assert _claimed(caller).job.id == single.id


def test_sequences_grow_without_repeating(caller: Caller) -> None:
    batch = send(caller, [refused(0), refused(1), *(item(n, caller.image(n)) for n in range(2, 25))])
    tend(caller, batch)
    _work(caller)
    _work(caller)
    read(caller, batch)
    cancel_batch(caller.database, "acme", batch.id)

    found = [result.sequence for result in results(caller, batch)]
    assert len(found) == 25
    assert all(one < two for one, two in pairwise(found))

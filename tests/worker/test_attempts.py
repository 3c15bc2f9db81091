"""One attempt, from the claim to the final state, with a studio that computes digests."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Thread
from time import sleep

import pytest

from core.domain.errors import Unavailable
from core.domain.job import Job, JobClass, JobKind, JobState
from core.domain.ports import Claim, Database, ObjectStore
from tests.stack.fakes import CountingWakeUps, add_job, cancel, claim, load, try_claim
from tests.stack.studio import PROMPT_DIVERGES, PROMPT_FULL, PROMPT_LATE, FakeStudio, steps_in
from tests.stack.submitting import ACME, Caller
from worker.heartbeat import Heartbeat
from worker.tools import Seats, Tools, Vacancy
from worker.working import work

TIMESTEP_SECONDS = 0.05


class RefusingStore:
    """An object store that refuses its first writes of results."""

    def __init__(self, store: ObjectStore, *, refusals: int) -> None:
        self._store = store
        self._left = refusals
        self.get, self.delete, self.list = store.get, store.delete, store.list
        self.presign, self.presign_post, self.ping = store.presign, store.presign_post, store.ping

    def put(self, key: str, data: bytes, *, media_type: str) -> None:
        if "checkpoint" not in key and self._left > 0:
            self._left -= 1
            raise Unavailable("The object store does not answer.")
        self._store.put(key, data, media_type=media_type)


def test_an_inversion_succeeds_with_its_artifacts(tools: Tools, caller: Caller) -> None:
    job = caller.invert()

    work(tools)

    done = load(tools.database, job)
    assert (done.state, done.progress.timestep, done.progress.timesteps) == (JobState.SUCCEEDED, 5, 5)
    assert [artifact.name for artifact in done.artifacts] == ["reconstruction", "attention", "inversion"]
    for artifact in done.artifacts:
        data = tools.store.get(artifact.key)
        assert (len(data), hashlib.sha256(data).hexdigest()) == (artifact.bytes, artifact.sha256)
    assert done.metrics.keys() >= {"queue_seconds", "compute_seconds", "unet_forwards"}
    assert "This is a fake." in done.warnings


def test_a_finished_job_leaves_no_checkpoint(tools: Tools, caller: Caller) -> None:
    job = caller.invert()

    work(tools)

    kept = {artifact.key for artifact in load(tools.database, job).artifacts}
    assert set(tools.store.list("acme/jobs/")) == kept
    assert load(tools.database, job).checkpoint_key is None


def test_an_edit_reads_the_inversion(tools: Tools, caller: Caller) -> None:
    inversion = caller.invert()
    edit = caller.edit(inversion.id)

    work(tools)
    work(tools)

    assert load(tools.database, edit).state is JobState.SUCCEEDED
    assert [artifact.name for artifact in load(tools.database, edit).artifacts] == ["image", "mask"]


def test_a_wake_up_too_many_does_nothing(tools: Tools, journal: Path) -> None:
    work(tools)

    assert steps_in(journal) == []


def test_a_finished_task_calls_for_the_next(tools: Tools, caller: Caller, wakeups: CountingWakeUps) -> None:
    caller.invert(shade=1)
    caller.invert(shade=2)
    sent = wakeups.sent

    work(tools)
    after_first = wakeups.sent
    work(tools)

    assert (after_first, wakeups.sent) == (sent + 1, sent + 1)


def test_a_canceled_job_stops_at_its_next_timestep(tools: Tools, caller: Caller, journal: Path) -> None:
    job = caller.invert(parameters={"timesteps": 200})

    with _working(tools, journal, steps=2):
        cancel(tools.database, job)
        tools.heartbeat.tick()
        noticed = len(steps_in(journal))

    stopped = load(tools.database, job)
    assert stopped.state is JobState.CANCELED
    assert stopped.error is not None
    assert stopped.error.code == "CANCELED"
    assert len(steps_in(journal)) <= noticed + 2


def test_a_shutdown_hands_the_job_on_where_it_stands(
    tools: Tools, caller: Caller, journal: Path, wakeups: CountingWakeUps
) -> None:
    job = caller.invert(parameters={"timesteps": 20})
    sent = wakeups.sent

    with _working(tools, journal, steps=3):
        tools.heartbeat.shut_down()
    handed = load(tools.database, job)
    resumed_at = len(steps_in(journal))
    work(replace(tools, heartbeat=Heartbeat(tools.database, lease_seconds=60, stall_seconds=600)))

    assert (handed.state, handed.attempt, handed.progress.timestep) == (JobState.QUEUED, 0, resumed_at)
    assert wakeups.sent > sent
    assert load(tools.database, job).state is JobState.SUCCEEDED
    assert [int(step.split(":")[1]) for step in steps_in(journal)] == list(range(1, 21))


def test_a_resumed_inversion_equals_a_straight_one(tools: Tools, caller: Caller, journal: Path) -> None:
    straight = caller.invert(parameters={"timesteps": 20})
    work(tools)
    other = caller.invert(parameters={"timesteps": 20}, seed=0, order=replace(ACME, tenant="other"))

    with _working(tools, journal, steps=23):
        tools.heartbeat.shut_down()
    work(replace(tools, heartbeat=Heartbeat(tools.database, lease_seconds=60, stall_seconds=600)))

    assert _sums(tools, other) == _sums(tools, straight)


def test_an_edit_goes_on_where_it_stood_and_leaves_no_checkpoint(tools: Tools, caller: Caller, journal: Path) -> None:
    inversion = caller.invert()
    edit = caller.edit(inversion.id)
    work(tools)

    with _working(tools, journal, steps=6):
        tools.heartbeat.shut_down()
    handed = load(tools.database, edit)
    work(replace(tools, heartbeat=Heartbeat(tools.database, lease_seconds=60, stall_seconds=600)))

    done = load(tools.database, edit)
    assert (handed.state, handed.checkpoint_key is None) == (JobState.QUEUED, False)
    assert (done.state, done.checkpoint_key) == (JobState.SUCCEEDED, None)
    assert [int(step.split(":")[1]) for step in steps_in(journal)[5:]] == [1, 2]
    assert not [key for key in tools.store.list("acme/jobs/") if "checkpoint" in key]


def test_a_worker_going_down_starts_nothing(tools: Tools, caller: Caller) -> None:
    job = caller.invert()
    tools.heartbeat.shut_down()

    worked = work(tools)

    assert (worked, load(tools.database, job).state) == (False, JobState.QUEUED)


def test_an_attempt_that_lost_its_lease_writes_nothing(tools: Tools, caller: Caller, journal: Path) -> None:
    job = caller.invert(parameters={"timesteps": 50})

    with _working(tools, journal, steps=2):
        with tools.database.begin() as uow:
            uow.jobs.void_leases()
            uow.jobs.expire_leases(limit=1)
            uow.commit()
        current = claim(tools.database, model=tools.model.identity)

    assert load(tools.database, job) == current.job


def test_a_lost_lease_is_noticed_by_the_heartbeat(tools: Tools, caller: Caller, journal: Path) -> None:
    caller.invert(parameters={"timesteps": 200})
    unobserved = replace(tools, limits=replace(tools.limits, checkpoint_seconds=dict.fromkeys(JobKind, 600)))

    with _working(unobserved, journal, steps=2):
        with tools.database.begin() as uow:
            uow.jobs.void_leases()
            uow.jobs.expire_leases(limit=1)
            uow.commit()
        tools.heartbeat.tick()

    assert len(steps_in(journal)) < 200


def test_a_failure_that_repeats_itself_is_final_at_once(tools: Tools, caller: Caller) -> None:
    job = caller.invert(source_prompt=PROMPT_DIVERGES)

    work(tools)

    failed = load(tools.database, job)
    assert failed.state is JobState.FAILED
    assert failed.error is not None
    assert (failed.error.code, failed.attempt) == ("DIVERGED", 1)


@pytest.mark.parametrize(("prompt", "code"), [(PROMPT_FULL, "OUT_OF_MEMORY"), (PROMPT_LATE, "TIMEOUT")])
def test_a_failure_that_may_pass_is_tried_to_the_limit(tools: Tools, caller: Caller, prompt: str, code: str) -> None:
    job = caller.invert(source_prompt=prompt)

    states = []
    for _ in range(3):
        work(tools)
        states.append(load(tools.database, job).state)

    failed = load(tools.database, job)
    assert states == [JobState.QUEUED, JobState.QUEUED, JobState.FAILED]
    assert failed.error is not None
    assert failed.error.code == code


def test_a_job_for_another_model_waits_for_a_worker_that_runs_it(tools: Tools, caller: Caller, journal: Path) -> None:
    job = caller.invert()

    work(replace(tools, model=replace(tools.model, revision="another")))
    untouched = load(tools.database, job), steps_in(journal)
    work(tools)

    assert untouched == (job, [])
    assert load(tools.database, job).state is JobState.SUCCEEDED


def test_a_store_that_takes_no_previews_does_not_hinder_the_job(tools: Tools, caller: Caller) -> None:
    job = caller.invert()

    work(replace(tools, store=RefusingStore(tools.store, refusals=4)))

    assert load(tools.database, job).state is JobState.SUCCEEDED


def test_a_missing_input_is_named(tools: Tools, caller: Caller) -> None:
    job = caller.invert(order=replace(ACME, max_attempts=1))
    for key in list(tools.store.list("acme/images/")):
        tools.store.delete(key)

    work(tools)

    failed = load(tools.database, job)
    assert failed.error is not None
    assert failed.error.code == "INPUT_FETCH_FAILED"


def test_a_result_waits_for_a_store_that_is_down(tools: Tools, caller: Caller) -> None:
    job = caller.invert()
    flaky = replace(tools, store=RefusingStore(tools.store, refusals=3))

    work(flaky)

    assert load(tools.database, job).state is JobState.SUCCEEDED


def test_a_store_that_stays_down_is_named(tools: Tools, caller: Caller) -> None:
    job = caller.invert(order=replace(ACME, max_attempts=1))
    impatient = replace(tools.limits, patience_seconds=0)

    work(replace(tools, store=RefusingStore(tools.store, refusals=1000), limits=impatient))

    failed = load(tools.database, job)
    assert failed.error is not None
    assert failed.error.code == "ARTIFACT_WRITE_FAILED"


def test_the_last_slot_takes_no_batch(database: Database) -> None:
    asked: list[list[JobClass]] = []
    seats = Seats(2)
    add_job(database, job_class=JobClass.BATCH)
    batch = claim(database)

    def claim_batch(vacancy: Vacancy) -> Claim | None:
        asked.append(list(vacancy.classes))
        return batch if JobClass.BATCH in vacancy.classes else None

    first, second = seats.take(claim_batch), seats.take(claim_batch)
    assert first is not None
    seats.leave(first)
    third = seats.take(claim_batch)

    assert (first, second, third) == (batch, None, batch)
    assert asked == [list(JobClass), [JobClass.INTERACTIVE], list(JobClass)]


def test_two_suspects_never_sit_in_one_worker_until_one_has_got_on(database: Database) -> None:
    seats = Seats(4)
    for _ in range(3):
        add_job(database, max_attempts=2)
        claim(database, lease_seconds=-1)
    with database.begin() as uow:
        uow.jobs.expire_leases(limit=3)
        uow.commit()

    def take() -> Claim | None:
        return seats.take(lambda vacancy: try_claim(database, tuple(vacancy.classes), suspects=vacancy.suspects))

    first, beside_it = take(), take()
    assert first is not None
    trusted = seats.trust(first), seats.trust(first)
    second, beside_that = take(), take()
    assert second is not None
    seats.leave(second)
    third = take()

    assert (beside_it, beside_that) == (None, None)
    assert trusted == (True, False)
    assert third is not None
    assert len({first.job.id, second.job.id, third.job.id}) == 3


def test_a_suspect_is_trusted_once_it_has_got_further(
    tools: Tools, database: Database, caller: Caller, journal: Path
) -> None:
    caller.invert(order=replace(ACME, max_attempts=2), parameters={"timesteps": 20})
    _lose_worker(database, caller)
    others_may_be: list[bool] = []

    with _working(tools, journal, steps=4):
        tools.seats.take(lambda vacancy: others_may_be.append(vacancy.suspects))

    assert others_may_be == [True]


def _lose_worker(database: Database, caller: Caller) -> None:
    claim(database, lease_seconds=-1, model=dict(caller.model.identity))
    with database.begin() as uow:
        uow.jobs.expire_leases(limit=1)
        uow.commit()


@contextmanager
def _working(tools: Tools, journal: Path, *, steps: int) -> Iterator[None]:
    """Works on one job in a thread, from the moment so many timesteps are in the journal; waits for its end."""
    slow = replace(tools, studio=FakeStudio(journal, TIMESTEP_SECONDS))
    thread = Thread(target=work, args=(slow,))
    thread.start()
    while len(steps_in(journal)) < steps:
        sleep(0.01)
    yield
    thread.join()


def _sums(tools: Tools, job: Job) -> list[str]:
    return [artifact.sha256 for artifact in load(tools.database, job).artifacts]

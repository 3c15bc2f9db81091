"""Inversions and edits are checked, matched with equal work, and queued."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from core.domain.access import IdempotencyRecord
from core.domain.edit_parts import EditMethod
from core.domain.errors import AppError, Conflict, ErrorCode, InputError, NotFound
from core.domain.inversion_specs import InversionMethod
from core.domain.job import Job, JobState
from core.domain.specs import Fit
from core.usecases.requests import InversionRequest, Order
from tests.stack.fakes import FAILURE, CountingWakeUps, cancel, claim, finish, load, try_claim
from tests.stack.submitting import ACME, Caller


def test_a_submitted_inversion_is_queued_with_every_parameter(caller: Caller, wakeups: CountingWakeUps) -> None:
    job = caller.invert()

    assert (job.state, wakeups.sent) == (JobState.QUEUED, 1)
    assert job.parameters == {"method": "ddim", "timesteps": 5, "guidance": job.parameters["guidance"]}
    assert load(caller.database, job) == job


def test_the_model_s_defaults_stand_below_what_the_caller_gives(caller: Caller) -> None:
    caller.model = replace(caller.model, defaults={"guidance": 5.0, "timesteps": 20})

    job = caller.invert()

    assert (job.parameters["guidance"], job.parameters["timesteps"]) == (5.0, 5)


def test_an_equal_inversion_waits_for_the_first(caller: Caller, wakeups: CountingWakeUps) -> None:
    leader = caller.invert()

    follower = caller.invert()

    assert (follower.state, follower.leader, wakeups.sent) == (JobState.WAITING, leader.id, 1)


def test_an_equal_inversion_shares_a_finished_result(caller: Caller) -> None:
    leader = caller.invert()
    finish(caller.database, claim(caller.database, model=caller.model.identity))

    late = caller.invert()

    assert (late.state, late.artifacts) == (JobState.SUCCEEDED, load(caller.database, leader).artifacts)


@pytest.mark.parametrize(
    "difference",
    [
        {"seed": 1},
        {"source_prompt": "another circle"},
        {"fit": Fit.PAD},
        {"parameters": {"timesteps": 6}},
        {"shade": 3},
    ],
    ids=lambda difference: next(iter(difference)),
)
def test_any_difference_makes_it_other_work(caller: Caller, difference: dict[str, object]) -> None:
    caller.invert()

    assert caller.invert(**difference).state is JobState.QUEUED  # type: ignore[arg-type]


def test_tenants_share_nothing(caller: Caller) -> None:
    caller.invert()

    other = caller.invert(replace(ACME, tenant="other"))

    assert (other.state, other.leader) == (JobState.QUEUED, None)


@pytest.mark.parametrize("fate", ["failed", "canceled"])
def test_failed_work_is_never_shared(caller: Caller, fate: str) -> None:
    first = caller.invert()
    if fate == "failed":
        finish(caller.database, claim(caller.database, model=caller.model.identity), FAILURE)
    else:
        cancel(caller.database, first)

    assert caller.invert().state is JobState.QUEUED


def test_equal_inversions_sent_at_once_have_one_leader(caller: Caller) -> None:
    image = caller.image()

    with ThreadPoolExecutor(6) as pool:
        jobs = list(pool.map(lambda _: caller.invert(image_id=image), range(12)))

    leaders = [job for job in jobs if job.leader is None]
    assert len(leaders) == 1
    assert {job.leader for job in jobs} == {None, leaders[0].id}


def test_no_duplicate_is_forgotten_by_a_leader_that_ends_meanwhile(caller: Caller) -> None:
    request = caller.request()

    with ThreadPoolExecutor(4) as pool:
        ended = pool.submit(_finish_next, caller)
        jobs = list(pool.map(lambda _: caller.invert(image_id=request.image_id), range(12)))
        ended.result()

    assert {load(caller.database, job).state for job in jobs} == {JobState.SUCCEEDED}


def test_an_edit_waits_for_its_inversion(caller: Caller) -> None:
    inversion = caller.invert()

    edit = caller.edit(inversion.id)

    assert (edit.state, edit.depends_on) == (JobState.WAITING, inversion.id)
    assert edit.inputs["source_prompt"] == inversion.inputs["source_prompt"]
    assert edit.model == inversion.model


def test_an_edit_of_an_image_makes_the_inversion(caller: Caller, wakeups: CountingWakeUps) -> None:
    edit = caller.edit(caller.request())

    inversion = claim(caller.database, model=caller.model.identity).job
    assert (edit.depends_on, wakeups.sent) == (inversion.id, 1)


def test_an_edit_of_an_image_reuses_a_finished_inversion(caller: Caller) -> None:
    request = caller.request()
    caller.edit(request)
    finish(caller.database, claim(caller.database, model=caller.model.identity))

    edit = caller.edit(request, target_prompt="a yellow circle on a blue background")

    assert edit.state is JobState.QUEUED


def test_an_edit_of_a_failed_inversion_is_refused(caller: Caller) -> None:
    inversion = caller.invert()
    finish(caller.database, claim(caller.database, model=caller.model.identity), FAILURE)

    assert _refusal(caller, inversion.id) == ErrorCode.INVERSION_FAILED


def test_an_edit_of_a_deleted_inversion_is_refused(caller: Caller) -> None:
    inversion = caller.invert()
    finish(caller.database, claim(caller.database, model=caller.model.identity))
    with caller.database.begin() as uow:
        uow.jobs.delete(inversion.tenant, inversion.id)
        uow.commit()

    assert _refusal(caller, inversion.id) == ErrorCode.ARTIFACT_EXPIRED


def test_an_edit_of_another_tenant_s_inversion_is_not_found(caller: Caller) -> None:
    inversion = caller.invert(replace(ACME, tenant="other"))

    with pytest.raises(NotFound):
        caller.edit(inversion.id)


def test_an_edit_of_another_model_s_inversion_is_refused(caller: Caller) -> None:
    inversion = caller.invert()
    caller.model = replace(caller.model, revision="newer")

    with pytest.raises(InputError, match="can only be edited by it") as refused:
        caller.edit(inversion.id)

    assert refused.value.errors[0].pointer == "/inversion_id"


def test_an_unknown_image_is_not_found(caller: Caller) -> None:
    with pytest.raises(NotFound):
        caller.invert(image_id="img_none")


@pytest.mark.parametrize(
    ("changes", "code", "pointer"),
    [
        ({"target_prompt": "a circle " * 250}, ErrorCode.PROMPT_TOO_LONG, "/target_prompt"),
        ({"parameters": {"reweight": {"zebra": 2.0}}}, ErrorCode.WORD_NOT_IN_PROMPT, "/parameters/reweight"),
        (
            {"parameters": {"blend": {"source_words": ["zebra"], "target_words": ["circle"]}}},
            ErrorCode.WORD_NOT_IN_PROMPT,
            "/parameters/blend/source_words",
        ),
        (
            {"target_prompt": "a circle", "parameters": {"cross_rule": "replace"}},
            ErrorCode.PROMPTS_NOT_ALIGNED,
            "/parameters/cross_rule",
        ),
        ({"parameters": {"cross_window": 2}}, ErrorCode.VALIDATION, "/parameters/cross_window"),
        (
            {
                "method": EditMethod.MASACTRL,
                "parameters": {"mask_aware": {"source_words": ["zebra"], "target_words": ["circle"]}},
            },
            ErrorCode.WORD_NOT_IN_PROMPT,
            "/parameters/mask_aware/source_words",
        ),
        (
            {
                "method": EditMethod.MASACTRL,
                "parameters": {"mask_aware": {"source_words": ["red"], "target_words": ["circle", "red"]}},
            },
            ErrorCode.WORD_NOT_IN_PROMPT,
            "/parameters/mask_aware/target_words",
        ),
        (
            {
                "method": EditMethod.PIX2PIX_ZERO,
                "parameters": {"source_sentences": ["a circle", "a circle " * 200]},
            },
            ErrorCode.PROMPT_TOO_LONG,
            "/parameters/source_sentences/1",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_faulty_edit_is_refused_where_it_is_faulty(
    caller: Caller, changes: dict[str, object], code: ErrorCode, pointer: str
) -> None:
    inversion = caller.invert()

    with pytest.raises(InputError) as refused:
        caller.edit(inversion.id, **changes)  # type: ignore[arg-type]

    assert (refused.value.code, refused.value.errors[0].pointer) == (code, pointer)


def test_sdedit_of_an_edit_friendly_inversion_is_refused_with_a_way_out(caller: Caller) -> None:
    inversion = caller.invert(method=InversionMethod.EDIT_FRIENDLY)

    with pytest.raises(InputError, match="invert with another method, or edit with word_swap") as refused:
        caller.edit(inversion.id, method=EditMethod.SDEDIT)

    assert refused.value.errors[0].pointer == "/method"


def test_a_refused_edit_leaves_no_inversion_behind(caller: Caller) -> None:
    with pytest.raises(InputError):
        caller.edit(caller.request(), parameters={"reweight": {"zebra": 2.0}})

    with caller.database.read() as uow:
        assert uow.jobs.queued_count(limit=10) == 0


def test_words_to_keep_may_stand_in_either_prompt(caller: Caller) -> None:
    blend = {"source_words": ["red"], "target_words": ["green"], "keep_words": ["red", "green", "blue"]}

    job = caller.edit(caller.invert().id, parameters={"blend": blend})

    assert job.state is JobState.WAITING


def test_a_word_swap_needs_no_alignment(caller: Caller) -> None:
    job = caller.edit(caller.invert().id, method=EditMethod.WORD_SWAP, target_prompt="something else")

    assert job.state is JobState.WAITING


def test_a_word_the_model_has_never_seen_is_a_warning(caller: Caller) -> None:
    caller.model = replace(caller.model, known_words=frozenset({"a", "red", "circle"}))

    job = caller.invert(source_prompt="a red zebra, circle")

    assert len(job.warnings) == 1
    assert '"zebra"' in job.warnings[0]


def test_the_first_answer_is_kept_with_the_job(caller: Caller) -> None:
    job = caller.invert(replace(ACME, remember=_remember))

    with caller.database.read() as uow:
        record = uow.idempotency.get("acme", "once")
    assert record is not None
    assert record.body == {"id": job.id}


def test_one_idempotency_key_makes_one_job(caller: Caller) -> None:
    order = replace(ACME, remember=_remember)
    request = caller.request()

    def send(seed: int) -> str:
        try:
            return caller.invert(order, image_id=request.image_id, seed=seed).state
        except Conflict as conflict:
            return conflict.code

    with ThreadPoolExecutor(6) as pool:
        answers = Counter(pool.map(send, range(12)))

    with caller.database.read() as uow:
        queued = uow.jobs.queued_count(limit=20)
    assert (answers, queued) == ({JobState.QUEUED: 1, ErrorCode.IDEMPOTENCY_IN_FLIGHT: 11}, 1)


def test_a_deadline_is_counted_from_the_database_s_clock(caller: Caller) -> None:
    job = caller.invert(Order(tenant="acme", deadline_seconds=60))

    assert job.deadline_at is not None
    assert (job.deadline_at - job.created_at).total_seconds() == 60


def _remember(job: Job) -> IdempotencyRecord:
    return IdempotencyRecord(tenant=job.tenant, key="once", fingerprint="f", status=202, body={"id": job.id})


def _refusal(caller: Caller, inversion: str | InversionRequest) -> ErrorCode:
    with pytest.raises(AppError) as refused:
        caller.edit(inversion)
    return refused.value.code


def _finish_next(caller: Caller) -> None:
    while (claimed := try_claim(caller.database, model=caller.model.identity)) is None:
        continue
    finish(caller.database, claimed)

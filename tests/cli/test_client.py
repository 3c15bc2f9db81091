"""The Python client against the service itself, and against a network that fails."""

from collections.abc import Callable
from datetime import timedelta

import httpx
import pytest

from core.domain.job import Artifact, JobClass, JobError, JobState
from core.domain.ports import Outcome
from core.usecases.attempts import claim_next, finish
from stylediffusion.answers import Job
from stylediffusion.client import Client
from stylediffusion.errors import JobFailed, NotReachable, Refused, StillRunning
from tests.cli.conftest import Api
from tests.stack.submitting import png

PROMPT = "a red circle on grass"


def work(api: Api, *, state: JobState = JobState.SUCCEEDED) -> None:
    """Does the next job's work."""
    claim = claim_next(api.ports.database, lease_seconds=60, classes=tuple(JobClass), model=api.ports.model)
    assert claim is not None
    api.ports.store.put("acme/1", b"pixels", media_type="image/png")
    artifact = Artifact(name="image", media_type="image/png", bytes=6, sha256="0" * 64, key="acme/1")
    failure = JobError(code="DIVERGED", detail="Try a lower learning_rate.", retryable=False)
    good = state is JobState.SUCCEEDED
    outcome = Outcome(
        state=state,
        result={"quality": {"psnr": 40.0}} if good else None,
        artifacts=(artifact,) if good else (),
        error=None if good else failure,
    )
    assert finish(api.ports.database, claim, outcome, retention=timedelta(days=1))


def answering(*answers: Callable[[httpx.Request], httpx.Response]) -> tuple[Client, list[httpx.Request]]:
    """A client whose requests get these answers, one after the other; and the requests."""
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return answers[min(len(seen), len(answers)) - 1](request)

    return Client("http://service", "sk_x", transport=httpx.MockTransport(answer)), seen


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that the client would have made."""
    pauses: list[float] = []
    monkeypatch.setattr("stylediffusion.client.time.sleep", pauses.append)
    return pauses


def refuse_connection(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("refused", request=request)


def test_a_picture_is_inverted_and_edited_and_the_result_fetched(api: Api, client: Client) -> None:
    inversion = client.invert(png(), PROMPT, method="ddim", parameters={"timesteps": 5}, metadata={"shop": "7"})
    edit = client.edit(inversion.id, "a blue circle on grass", parameters={"self_window": 0.1}, output="model")
    work(api)
    work(api)

    done = client.wait(edit)

    assert (inversion.state, edit.state, done.state) == ("queued", "waiting", "succeeded")
    assert (inversion.parameters["timesteps"], inversion.metadata) == (5, {"shop": "7"})
    assert (done.parameters["self_window"], done.inputs["output"]) == (0.1, "model")
    assert [one.name for one in client.artifacts(done)] == ["image"]
    assert client.artifact(done, "image") == b"pixels"


def test_every_reading_of_a_job_is_reported(api: Api, client: Client) -> None:
    job = client.invert(png(), PROMPT)
    seen: list[str] = []

    def on_progress(read: Job) -> None:
        seen.append(read.state)
        if len(seen) == 1:
            work(api)

    client.wait(job, on_progress=on_progress)

    assert seen == ["queued", "succeeded"]


def test_a_failed_job_is_an_error_with_its_code(api: Api, client: Client) -> None:
    job = client.invert(png(), PROMPT)
    work(api, state=JobState.FAILED)

    with pytest.raises(JobFailed) as caught:
        client.wait(job)

    assert (caught.value.job_id, caught.value.code, caught.value.retryable) == (job.id, "DIVERGED", False)


def test_a_job_can_be_canceled(client: Client) -> None:
    job = client.cancel(client.invert(png(), PROMPT))

    with pytest.raises(JobFailed) as caught:
        client.wait(job)

    assert (job.state, caught.value.code) == ("canceled", "CANCELED")


def test_waiting_ends_when_the_caller_says_so(client: Client) -> None:
    job = client.invert(png(), PROMPT)

    with pytest.raises(StillRunning):
        client.wait(job, timeout_seconds=0)


def test_lists_go_over_every_page(client: Client) -> None:
    sent = [client.invert(png(shade), PROMPT).id for shade in range(3)]
    client.edit(sent[0], "a blue circle on grass")

    listed = [job.id for job in client.list(kind="inversion", state="queued")]

    assert listed == sent[::-1]
    assert len(list(client.list())) == 4


def test_a_problem_is_an_error_with_code_and_faulty_fields(client: Client) -> None:
    with pytest.raises(Refused) as caught:
        client.invert(png(), PROMPT, parameters={"timesteps": 1})

    assert (caught.value.code, caught.value.status) == ("VALIDATION", 422)
    assert [fault.pointer for fault in caught.value.faults] == ["/parameters/timesteps"]


def test_a_wrong_key_is_refused(api: Api) -> None:
    with Client(api.url, "sk_wrong") as stranger, pytest.raises(Refused) as caught:
        stranger.get("inv_06g8q2vd7tqk5c3h0f9sm1n4bo")

    assert caught.value.code == "UNAUTHENTICATED"


def test_a_post_is_sent_again_with_the_same_key(api: Api, client: Client, no_pauses: list[float]) -> None:
    job = client.invert(png(), PROMPT).model_dump_json().encode()
    fragile, seen = answering(
        refuse_connection,
        lambda _: httpx.Response(503, headers={"Retry-After": "7"}),
        lambda _: httpx.Response(202, content=job),
    )

    fragile.edit("inv_1", PROMPT)

    assert len({request.headers["Idempotency-Key"] for request in seen}) == 1
    assert len(seen) == 3
    assert no_pauses == [0.25, 7]


def test_two_posts_have_two_keys(api: Api, client: Client) -> None:
    job = client.invert(png(), PROMPT).model_dump_json().encode()
    other, seen = answering(lambda _: httpx.Response(202, content=job))

    other.edit("inv_1", PROMPT)
    other.edit("inv_1", PROMPT)

    assert len({request.headers["Idempotency-Key"] for request in seen}) == 2


def test_a_service_that_never_answers_is_not_reachable(no_pauses: list[float]) -> None:
    nowhere, seen = answering(refuse_connection)

    with pytest.raises(NotReachable):
        nowhere.get("inv_1")

    assert len(seen) == len(no_pauses) + 1 == 6


def test_a_refusal_is_not_sent_again(no_pauses: list[float]) -> None:
    strict, seen = answering(lambda _: httpx.Response(404, json={"code": "NOT_FOUND", "detail": "No such job."}))

    with pytest.raises(Refused):
        strict.get("inv_1")

    assert len(seen) == 1


def test_an_answer_that_is_none_of_the_service_is_told_by_its_status(no_pauses: list[float]) -> None:
    proxy, _ = answering(lambda _: httpx.Response(400, text="<html>"))

    with pytest.raises(Refused) as caught:
        proxy.get("inv_1")

    assert (caught.value.code, caught.value.status) == ("HTTP_400", 400)

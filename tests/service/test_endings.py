"""Jobs are cancelled, retried and deleted, and their artifacts fetched."""

from hashlib import sha256

import httpx2
import pytest

from core.domain.job import JobError, JobState
from core.domain.ports import Outcome
from core.usecases.attempts import finish
from tests.service.harness import GOOD, Harness, accepted, png, problem
from tests.stack.fakes import RETENTION

FAILED = Outcome(state=JobState.FAILED, error=JobError(code="DIVERGED", detail="The loss grew.", retryable=False))


def test_a_queued_job_is_canceled_at_once(anywhere: Harness) -> None:
    job = anywhere.invert()
    canceled = anywhere.client.post(job["links"]["cancel"])
    again = anywhere.client.post(job["links"]["cancel"])

    assert accepted(canceled)["state"] == "canceled"
    assert again.status_code == 200
    assert again.json() == canceled.json()
    assert again.json()["error"]["code"] == "CANCELED"


def test_a_running_job_is_asked_to_stop(service: Harness) -> None:
    job = service.invert()
    service.claim()

    canceled = accepted(service.client.post(f"/jobs/{job['id']}/cancel"))

    assert canceled["state"] == "running"
    assert canceled["cancel_requested"] is True


def test_a_failed_job_tells_why_and_can_be_retried(service: Harness) -> None:
    job = service.invert(metadata={"shop": "1"}, parameters={"timesteps": 5})
    service.work(FAILED)
    failed = service.client.get(job["links"]["self"]).json()

    retried = accepted(service.client.post(f"/inversions/{job['id']}/retry"))

    assert failed["error"] == {
        "code": "DIVERGED",
        "title": "The optimisation diverged",
        "detail": "The loss grew.",
        "retryable": False,
    }
    assert retried["id"] != job["id"]
    assert retried["retry_of"] == job["id"]
    assert retried["state"] == "queued"
    assert retried["parameters"] == job["parameters"]
    assert retried["metadata"] == {"shop": "1"}


def test_only_a_job_without_result_is_retried(service: Harness) -> None:
    job = service.invert()
    active = service.client.post(f"/inversions/{job['id']}/retry")
    service.work()
    done = service.client.post(f"/inversions/{job['id']}/retry")

    assert problem(active) == (409, "JOB_ACTIVE")
    assert problem(done) == (409, "JOB_ACTIVE")


def test_artifacts_are_listed_and_served(service: Harness) -> None:
    job = service.invert()
    unfinished = service.client.get(job["links"]["artifacts"])
    service.work()
    (listed,) = service.client.get(job["links"]["artifacts"]).json()
    file = service.client.get(listed["url"])
    unchanged = service.client.get(listed["url"], headers={"If-None-Match": file.headers["etag"]})

    assert unfinished.json() == []
    assert listed["name"] == "image"
    assert listed["bytes"] == len(file.content)
    assert listed["sha256"] == sha256(file.content).hexdigest()
    assert listed["expires_at"] is not None
    assert file.content == png("blue")
    assert file.headers["content-type"] == listed["media_type"] == "image/png"
    assert unchanged.status_code == 304


def test_an_inversion_shows_where_its_words_act(service: Harness) -> None:
    inversion = service.invert()
    address = f"{inversion['links']['self']}/attention"
    early = service.client.get(address)
    claim = service.claim()
    picture = service.artifact(claim, name="attention")
    service.finish(claim, Outcome(state=JobState.SUCCEEDED, result=GOOD, artifacts=(picture,)))
    shown = service.client.get(address)
    edit = service.edit(inversion_id=inversion["id"])["id"]

    assert problem(early) == (409, "JOB_NOT_FINISHED")
    assert (shown.status_code, shown.headers["content-type"], shown.content) == (200, "image/png", png("blue"))
    assert service.client.get(address, headers={"If-None-Match": shown.headers["etag"]}).status_code == 304
    assert problem(service.client.get(f"/inversions/{edit}/attention")) == (404, "NOT_FOUND")
    assert problem(service.client.get(address, headers=service.key("other"))) == (404, "NOT_FOUND")


def test_artifacts_in_a_bucket_have_addresses_of_their_own(distributed: Harness) -> None:
    job = distributed.invert()
    distributed.work()
    (listed,) = distributed.client.get(job["links"]["artifacts"]).json()

    assert httpx2.get(listed["url"]).content == png("blue")
    assert distributed.client.get(f"{job['links']['artifacts']}/image").content == png("blue")


def test_what_is_not_there_yet_any_more_or_at_all_is_told_apart(service: Harness) -> None:
    job = service.invert()
    address = f"{job['links']['artifacts']}/image"
    early = service.client.get(address)
    service.work()
    unknown = service.client.get(f"{job['links']['artifacts']}/nothing")
    service.client.delete(job["links"]["self"])
    late = service.client.get(address)

    assert problem(early) == (409, "JOB_NOT_FINISHED")
    assert problem(unknown) == (404, "NOT_FOUND")
    assert problem(late) == (410, "ARTIFACT_EXPIRED")
    assert problem(service.client.get(job["links"]["artifacts"])) == (410, "ARTIFACT_EXPIRED")


def test_a_deleted_job_leaves_a_tombstone_and_no_bytes(anywhere: Harness) -> None:
    job = anywhere.invert()
    claim = anywhere.claim()
    artifact = anywhere.artifact(claim)
    done = Outcome(state=JobState.SUCCEEDED, result={}, artifacts=(artifact,))
    assert finish(anywhere.ports.database, claim, done, retention=RETENTION)

    answers = [anywhere.client.delete(job["links"]["self"]).status_code for _ in range(2)]
    tombstone = anywhere.client.get(job["links"]["self"]).json()

    assert answers == [204, 204]
    assert tombstone["deleted_at"] is not None
    assert artifact.key not in list(anywhere.ports.store.list("acme/"))


@pytest.mark.parametrize("running", [False, True])
def test_an_active_job_is_not_deleted(service: Harness, *, running: bool) -> None:
    job = service.invert()
    if running:
        service.claim()

    assert problem(service.client.delete(job["links"]["self"])) == (409, "JOB_ACTIVE")


def test_an_inversion_that_an_edit_needs_is_not_deleted(service: Harness) -> None:
    inversion = service.invert()
    service.work()
    service.edit(inversion_id=inversion["id"])

    assert problem(service.client.delete(inversion["links"]["self"])) == (409, "JOB_ACTIVE")


def test_an_edit_of_a_deleted_inversion_is_refused(service: Harness) -> None:
    inversion = service.invert()
    service.work()
    service.client.delete(inversion["links"]["self"])

    answer = service.client.post("/edits", json={"inversion_id": inversion["id"], "target_prompt": "a star"})

    assert problem(answer) == (410, "ARTIFACT_EXPIRED")

"""Operators make, exchange and revoke keys and say what a tenant may do; tenants see what they have used."""

import asyncio
from datetime import UTC, datetime

import pytest
from httpx2 import Response

from core.domain.job import JobState
from core.domain.ports import Outcome
from core.settings import Settings
from core.usecases.keys import Scope
from service.limits import RateLimits
from tests.servers.redis import Redis
from tests.service.harness import Harness, problem


@pytest.fixture
def admin(service: Harness) -> dict[str, str]:
    """The headers of an operator."""
    return service.key("operator", scopes=frozenset({Scope.ADMIN}))


def bearer(answer: Response) -> dict[str, str]:
    assert answer.status_code == 201, answer.text
    return {"Authorization": f"Bearer {answer.json()['key']}"}


def test_a_key_is_made_used_and_revoked(service: Harness, admin: dict[str, str]) -> None:
    made = service.client.post("/keys", json={"tenant": "new", "name": "laptop", "days": 7}, headers=admin)
    key = bearer(made)
    assert service.client.get("/jobs", headers=key).status_code == 200
    listed = service.client.get("/keys", params={"tenant": "new"}, headers=admin).json()["items"]
    assert [(one["id"], one["key"], one["name"]) for one in listed] == [(made.json()["id"], None, "laptop")]
    assert service.client.get("/tenants/new", headers=admin).json()["fetch_urls"] is False

    assert service.client.delete(f"/keys/{made.json()['id']}", headers=admin).status_code == 204
    assert problem(service.client.get("/jobs", headers=key)) == (401, "UNAUTHENTICATED")


def test_a_key_is_exchanged_with_an_overlap(service: Harness, admin: dict[str, str]) -> None:
    made = service.client.post("/keys", json={"tenant": "new", "scopes": ["jobs:read"]}, headers=admin)
    path = f"/keys/{made.json()['id']}/rotate"
    second = service.client.post(path, json={"overlap_seconds": 60}, headers=admin)
    assert second.json()["scopes"] == ["jobs:read"]
    for key in (made, second):
        assert service.client.get("/jobs", headers=bearer(key)).status_code == 200

    third = service.client.post(path, json={"overlap_seconds": 0}, headers=admin)
    assert problem(service.client.get("/jobs", headers=bearer(made))) == (401, "UNAUTHENTICATED")
    assert service.client.get("/jobs", headers=bearer(third)).status_code == 200
    assert problem(service.client.post(path, json={}, headers=admin)) == (404, "NOT_FOUND")


def test_a_new_key_is_told_once(service: Harness, admin: dict[str, str]) -> None:
    headers = {**admin, "Idempotency-Key": "one"}
    first, again = (service.client.post("/keys", json={"tenant": "new"}, headers=headers) for _ in range(2))

    assert again.json() == {**first.json(), "key": None}
    assert len(service.client.get("/keys", params={"tenant": "new"}, headers=admin).json()["items"]) == 1


def test_only_an_operator_administers(service: Harness) -> None:
    asked = [
        service.client.get("/keys"),
        service.client.post("/keys", json={"tenant": "acme", "scopes": ["admin"]}),
        service.client.get("/tenants"),
        service.client.put("/tenants/acme", json={"fetch_urls": True}),
    ]

    assert {problem(answer) for answer in asked} == {(403, "SCOPE_MISSING")}


def test_keys_and_tenants_are_listed_in_pages(service: Harness, admin: dict[str, str]) -> None:
    for tenant in ("b", "c", "d"):
        service.key(tenant)
    for path, name in (("/keys", "tenant"), ("/tenants", "name")):
        seen, token = [], None
        while True:
            page = {"page_size": 2} if token is None else {"page_size": 2, "page_token": token}
            answer = service.client.get(path, params=page, headers=admin).json()
            seen += [item[name] for item in answer["items"]]
            token = answer["next_page_token"]
            if token is None:
                break
        assert sorted(seen) == ["acme", "b", "c", "d", "operator"]
        wrong = service.client.get(path, params={"page_token": "!"}, headers=admin)
        assert problem(wrong) == (400, "INVALID_PAGE_TOKEN")


def test_what_a_tenant_may_do_is_changed_as_a_whole(service: Harness, admin: dict[str, str]) -> None:
    changed = service.client.put("/tenants/acme", json={"max_unfinished_jobs": 3}, headers=admin)
    assert changed.json()["max_unfinished_jobs"] == 3
    assert service.client.get("/usage").json()["limits"]["max_unfinished_jobs"] == 3

    service.client.put("/tenants/acme", json={"fetch_urls": True}, headers=admin)
    assert service.client.get("/tenants/acme", headers=admin).json() == {
        "name": "acme",
        "fetch_urls": True,
        "requests_per_minute": None,
        "max_unfinished_jobs": None,
        "compute_seconds_per_day": None,
    }
    assert problem(service.client.put("/tenants/none", json={}, headers=admin)) == (404, "NOT_FOUND")
    assert problem(service.client.put("/tenants/acme", json={"x": 1}, headers=admin)) == (422, "VALIDATION")


def test_usage_counts_what_was_computed(anywhere: Harness) -> None:
    sizes = []
    for seed in range(2):
        anywhere.invert(seed=seed)
        claim = anywhere.claim()
        made = anywhere.artifact(claim)
        sizes.append(made.bytes)
        outcome = Outcome(state=JobState.SUCCEEDED, artifacts=(made,), metrics={"compute_seconds": 2.5})
        anywhere.finish(claim, outcome)
    anywhere.invert(seed=1)  # a duplicate
    used = anywhere.client.get("/usage").json()

    today = datetime.now(UTC).date().isoformat()
    assert used["days"] == [{"day": today, "jobs": 2, "compute_seconds": 5.0, "bytes": sum(sizes)}]
    assert (used["jobs"], used["compute_seconds"], used["last_day"]) == (2, 5.0, today)
    assert anywhere.client.get("/usage", headers=anywhere.key("other")).json()["jobs"] == 0


def test_a_full_queue_refuses_until_a_job_has_ended(service: Harness) -> None:
    service.may(max_unfinished_jobs=2)
    for seed in range(2):
        service.invert(seed=seed)
    refused = service.client.post("/inversions", json=service.inversion(seed=2))

    assert problem(refused) == (429, "QUEUE_FULL")
    assert (refused.json()["quota"], int(refused.headers["retry-after"])) == (2, 10)
    assert '"unfinished-jobs";r=0;t=10' in refused.headers.get_list("ratelimit")
    service.work()
    service.invert(seed=2)


def test_a_used_up_quota_refuses_until_tomorrow(service: Harness) -> None:
    service.may(compute_seconds_per_day=5)
    service.invert()
    service.work(Outcome(state=JobState.FAILED, metrics={"compute_seconds": 5.0}))
    refused = service.client.post("/inversions", json=service.inversion(seed=1))

    assert problem(refused) == (429, "QUOTA_EXCEEDED")
    assert 0 < int(refused.headers["retry-after"]) <= 86_400
    assert '"compute-seconds";q=5;w=86400' in refused.headers.get_list("ratelimit-policy")
    item = {"custom_id": "a", "image": {"id": service.image()}, "source_prompt": "a", "target_prompt": "b"}
    assert problem(service.client.post("/batches", json={"items": [item]})) == (429, "QUOTA_EXCEEDED")
    assert service.client.get("/jobs").status_code == 200


def test_too_many_requests_are_refused_and_every_answer_says_what_is_left(anywhere: Harness) -> None:
    anywhere.may(requests_per_minute=3)
    answers = [anywhere.client.get("/jobs") for _ in range(4)]
    *passed, refused = answers

    assert [answer.headers["ratelimit"].split(";")[1] for answer in passed] == ["r=2", "r=1", "r=0"]
    assert {answer.headers["ratelimit-policy"] for answer in answers} == {'"requests";q=3;w=60'}
    assert problem(refused) == (429, "RATE_LIMITED")
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert anywhere.client.get("/jobs", headers=anywhere.key("other")).status_code == 200


def test_replicas_count_together_and_without_redis_each_for_itself(redis_server: Redis, redis_url: str) -> None:
    settings = Settings.model_validate({"redis_url": redis_url})

    async def take_in_turn() -> None:
        replicas = [RateLimits(settings) for _ in range(2)]
        assert [(await replica.take("acme", 5)).remaining for replica in replicas] == [4, 3]

        redis_server.kill()
        assert [(await replica.take("acme", 5)).remaining for replica in replicas] == [4, 4]
        redis_server.start()
        for replica in replicas:
            await replica.close()

    asyncio.run(take_in_turn())

"""Lists are filtered, newest first, and paged without gaps or repetitions."""

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.service.harness import Harness, problem


def _ids(service: Harness, query: str = "", path: str = "/jobs") -> list[str]:
    answer = service.client.get(f"{path}?{query}")
    assert answer.status_code == 200, answer.text
    return [job["id"] for job in answer.json()["items"]]


def test_pages_cover_everything_once_while_new_jobs_arrive(anywhere: Harness) -> None:
    made = [anywhere.invert(seed=seed)["id"] for seed in range(7)]
    page = anywhere.client.get("/inversions?page_size=3").json()
    seen = [job["id"] for job in page["items"]]
    while page["next_page_token"]:
        anywhere.invert(seed=100 + len(seen))
        page = anywhere.client.get(f"/inversions?page_size=3&page_token={page['next_page_token']}").json()
        seen += [job["id"] for job in page["items"]]

    assert seen == made[::-1]


def test_lists_hold_their_own_kind(service: Harness) -> None:
    inversion = service.invert()["id"]
    edit = service.edit(inversion_id=inversion)["id"]

    assert _ids(service, path="/inversions") == [inversion]
    assert _ids(service, path="/edits") == [edit]
    assert _ids(service, path="/jobs") == [edit, inversion]


def test_edits_are_found_by_their_inversion(anywhere: Harness) -> None:
    first, second = (anywhere.invert(seed=seed)["id"] for seed in range(2))
    edit = anywhere.edit(inversion_id=first)["id"]
    anywhere.edit(inversion_id=second)

    assert _ids(anywhere, f"inversion_id={first}", path="/edits") == [edit]


def test_filters_choose(anywhere: Harness) -> None:
    done = anywhere.invert(metadata={"order": "a b&c", "shop": "1"})["id"]
    anywhere.work()
    between = datetime.now(UTC) + timedelta(milliseconds=5)
    while datetime.now(UTC) < between:
        pass
    queued = anywhere.invert(method="ddim", metadata={"shop": "1"})["id"]
    moment = between.isoformat().replace("+", "%2B")

    assert _ids(anywhere, "state=succeeded") == [done]
    assert _ids(anywhere, "method=ddim") == [queued]
    assert _ids(anywhere, "metadata.order=a%20b%26c") == [done]
    assert _ids(anywhere, "metadata.shop=1&state=queued") == [queued]
    assert _ids(anywhere, "metadata.shop=2") == []
    assert _ids(anywhere, f"created_after={moment}") == [queued]
    assert _ids(anywhere, f"created_before={moment}") == [done]


@pytest.mark.parametrize("key", ["Größe", "日本", "😀", 'a"b', "a\\b", "a.b", "a[0]", "$", "it's", " ", "\u2028"])
def test_whatever_is_a_key_of_metadata_finds_its_jobs(anywhere: Harness, key: str) -> None:
    value = f"<{key}>"
    found = anywhere.invert(metadata={key: value, "other": "1"})["id"]
    anywhere.invert(seed=1, metadata={key: "else", "other": value})

    assert _ids(anywhere, urlencode({f"metadata.{key}": value})) == [found]


def test_deleted_jobs_are_left_out(service: Harness) -> None:
    job = service.invert()
    service.work()
    service.client.delete(job["links"]["self"])

    assert _ids(service) == []


def test_a_page_of_more_than_a_thousand_is_one_of_a_thousand(service: Harness) -> None:
    service.invert()

    assert len(_ids(service, "page_size=1000000")) == 1


def test_the_last_page_has_no_token(service: Harness) -> None:
    for seed in range(2):
        service.invert(seed=seed)

    assert service.client.get("/jobs?page_size=2").json()["next_page_token"] is None


@pytest.mark.parametrize(
    "query",
    [
        "page_size=0",
        "page_size=x",
        "state=lost",
        "method=none",
        "created_after=yesterday",
        "created_after=2026-01-01T00:00:00",
        "created_after=0001-01-01T00:00:00%2B23:59",
        "metadata.x=%00",
        "metadata.%00=x",
        f"metadata.x={'y' * 513}",
        "&".join(f"metadata.{n}=x" for n in range(17)),
        f"page_token={'x' * 513}",
    ],
)
def test_faulty_queries_are_refused(service: Harness, query: str) -> None:
    answer = service.client.get(f"/jobs?{query}")

    assert problem(answer) == (422, "VALIDATION")
    assert answer.json()["errors"][0]["pointer"].startswith("/query/")


def test_a_token_belongs_to_its_listing(service: Harness) -> None:
    for seed in range(3):
        service.invert(seed=seed)
    token = service.client.get("/jobs?page_size=1").json()["next_page_token"]

    others: list[dict[str, Any]] = [
        {"url": f"/inversions?page_token={token}"},
        {"url": f"/jobs?state=queued&page_token={token}"},
        {"url": f"/jobs?page_token={token}", "headers": service.key("other")},
        {"url": "/jobs?page_token=rubbish"},
        {"url": "/jobs?page_token=WzEsMiwzXQ"},
        {"url": "/jobs?page_token=%F0%9F%92%A5"},
    ]

    assert {problem(service.client.get(**other)) for other in others} == {(400, "INVALID_PAGE_TOKEN")}
    assert len(_ids(service, f"page_size=2&page_token={token}")) == 2

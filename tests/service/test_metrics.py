"""Prometheus reads what the service does; its labels have few values, whatever callers send."""

from datetime import timedelta

import pytest
from prometheus_client.parser import text_string_to_metric_families

from core.domain.errors import Unavailable
from core.domain.job import JobState
from core.domain.ports import Outcome
from core.usecases import activity
from service.metrics import Metrics
from tests.service.harness import FailingDatabase, Harness

Samples = dict[tuple[str, ...], float]


@pytest.fixture(autouse=True)
def _settled_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(activity, "_SETTLED", timedelta(0))


def read(service: Harness) -> Samples:
    """Every sample by its name and the values of its labels, in the order of their names."""
    answer = service.client.get("/metrics")
    assert answer.status_code == 200
    families = text_string_to_metric_families(answer.text)
    return {
        (
            sample.name.removeprefix("stylediffusion_"),
            *(value for _, value in sorted(sample.labels.items())),
        ): sample.value
        for family in families
        for sample in family.samples
    }


def test_jobs_are_counted_by_state_and_class(service: Harness) -> None:
    read(service)
    service.invert(seed=1)
    service.work()
    service.invert(seed=2)
    service.work(Outcome(state=JobState.FAILED))
    inversion = service.invert(seed=3)["id"]
    service.edit(inversion_id=inversion)
    service.invert(seed=4)
    service.claim()
    service.worker(slots=3)

    first, again = read(service), read(service)

    for state, count in (("waiting", 1), ("queued", 1), ("running", 1)):
        assert first["jobs", "interactive", state] == count
        assert first["jobs", "batch", state] == 0
    assert first["queue_oldest_age_seconds", "interactive"] > 0
    assert (first["workers",], first["slots", "interactive"], first["slots", "batch"]) == (1, 3, 2)
    assert first["jobs_finished_total", "interactive", "succeeded"] == 1
    assert first["jobs_finished_total", "interactive", "failed"] == 1
    assert first["attempts_total", "interactive"] == 3
    assert ("recoveries_total", "interactive") not in first
    assert again["jobs_finished_total", "interactive", "succeeded"] == 1


def test_an_attempt_after_a_lost_one_is_a_recovery(service: Harness) -> None:
    read(service)
    service.invert()
    service.claim()
    with service.ports.database.begin() as uow:
        uow.jobs.void_leases()
        uow.jobs.expire_leases(limit=1)
        uow.commit()
    service.claim()

    samples = read(service)

    assert samples["attempts_total", "interactive"] == 2
    assert samples["recoveries_total", "interactive"] == 1


def test_requests_are_timed_by_route_and_status(service: Harness) -> None:
    before = read(service)
    for _ in range(2):
        service.client.get(service.invert()["links"]["self"])
    service.client.get("/nowhere")
    service.client.request("BREW", "/livez")
    service.client.get(f"{service.invert()['links']['self']}/attention")

    samples = read(service)
    count = "http_request_seconds_count"

    assert samples[count, "GET", "/inversions/{job_id}", "200"] == 2
    assert samples[count, "POST", "/inversions", "202"] == 3
    assert samples[count, "GET", "unknown", "404"] == 1
    assert samples[count, "GET", "/inversions/{job_id}/attention", "409"] == 1
    assert [key for key in samples if "BREW" in key] == []
    assert samples[count, "GET", "/metrics", "200"] == before.get((count, "GET", "/metrics", "200"), 0) + 1


def test_without_a_database_the_numbers_say_so(service: Harness) -> None:
    away = Metrics(FailingDatabase(Unavailable("The database does not answer.")))

    assert read(service)["database_up",] == 1
    assert "stylediffusion_database_up 0.0" in away.render().decode()

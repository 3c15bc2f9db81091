"""What an attempt works with, on each database and with a studio that computes digests."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from core.domain.catalogue import Model
from core.domain.job import JobKind
from core.domain.ports import Database
from core.storage.objects_folder import FolderStore
from tests.stack.deployment import PACE, Deployment
from tests.stack.fakes import CountingWakeUps
from tests.stack.studio import FakeStudio
from worker.heartbeat import Heartbeat
from worker.tools import Limits, Seats, Tools


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "journal"


@pytest.fixture
def tools(
    database: Database, folder_store: FolderStore, wakeups: CountingWakeUps, model: Model, journal: Path
) -> Tools:
    return Tools(
        database=database,
        store=folder_store,
        wakeups=wakeups,
        studio=FakeStudio(journal),
        model=model,
        heartbeat=Heartbeat(database, lease_seconds=60, stall_seconds=600),
        seats=Seats(2),
        limits=Limits(
            lease_seconds=60,
            checkpoint_seconds=dict.fromkeys(JobKind, 0),
            preview_seconds=0,
            patience_seconds=5,
            retention=timedelta(days=30),
        ),
    )


@pytest.fixture
def embedded(tmp_path: Path, model: Model) -> Iterator[Deployment]:
    """All in one folder."""
    with Deployment({"DATA_DIR": str(tmp_path), **PACE}, model=model) as running:
        yield running


@pytest.fixture
def distributed(tmp_path: Path, postgres_url: str, redis_url: str, model: Model) -> Iterator[Deployment]:
    """On Postgres and Redis."""
    environment = {"DATA_DIR": str(tmp_path), "DATABASE_URL": postgres_url, "REDIS_URL": redis_url, **PACE}
    with Deployment(environment, model=model) as running:
        yield running


@pytest.fixture(params=["embedded", "distributed"])
def deployment(request: pytest.FixtureRequest) -> Deployment:
    """Each of the two."""
    running: Deployment = request.getfixturevalue(request.param)
    return running

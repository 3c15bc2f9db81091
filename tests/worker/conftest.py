"""What an attempt works with, on each database and with a studio that computes digests."""

from datetime import timedelta
from pathlib import Path

import pytest

from core.domain.catalogue import Model
from core.domain.ports import Database
from core.storage.objects_folder import FolderStore
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
            checkpoint_seconds=0,
            preview_seconds=0,
            patience_seconds=5,
            retention=timedelta(days=30),
        ),
    )

"""Single edits beside another tenant's batch, in small; `python -m tests.load.fairness` sends 5,000 items."""

from pathlib import Path

import pytest

from core.domain.catalogue import Model
from tests.load.fairness import Figures, measure
from tests.stack.deployment import Deployment

ITEMS = 300


@pytest.fixture
def figures(tmp_path: Path, postgres_url: str, redis_url: str, model: Model) -> Figures:
    """Of ten edits."""
    environment = {"DATA_DIR": str(tmp_path), "DATABASE_URL": postgres_url, "REDIS_URL": redis_url}
    with Deployment(environment, model=model) as deployment:
        return measure(deployment, items=ITEMS, edits=10, pause_seconds=0.1)


def test_an_edit_beside_a_batch_waits_no_longer_than_two_edits_last(figures: Figures) -> None:
    assert figures.left > ITEMS / 2
    assert figures.wait_p95 <= 2 * figures.duration
    # Permits, not jobs: of 300 items 200 are jobs by now. Senders that count at one time may each add to what waits.
    assert figures.most_wakeups <= 3 * figures.slots

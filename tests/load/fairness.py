"""Single edits of one tenant beside a large batch of another: `python -m tests.load.fairness`.

PostgreSQL, Redis and worker processes are real; the studio computes digests, so that the queue alone is measured.
"""

import json
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import final

import click

from core.domain.batch import BatchState
from core.domain.catalogue import read_model
from core.domain.job import Job, JobState
from core.pocket.weights import model_path
from core.usecases.requests import Order
from tests.servers.postgres import Postgres
from tests.servers.redis import Redis
from tests.stack.batching import item, read, send
from tests.stack.deployment import Deployment
from tests.stack.processes import wait_until

_PERSON = Order(tenant="person")
_IMAGES = 20  # of the batch
_FIRST = 5  # items done before the first edit: by then the batch is in full swing


@final
@dataclass(frozen=True, slots=True)
class Figures:
    """What the edits met, in seconds; `left` are the batch's items not done when the last edit was."""

    waits: list[float]
    durations: list[float]
    slots: int
    most_wakeups: int  # that lay on the broker at once
    left: int

    @property
    def wait_p95(self) -> float:
        """Of 100 edits 95 began within so many seconds."""
        return statistics.quantiles(self.waits, n=20, method="inclusive")[-1]

    @property
    def duration(self) -> float:
        """An edit's median."""
        return statistics.median(self.durations)


def measure(deployment: Deployment, *, items: int, edits: int, pause_seconds: float) -> Figures:
    """Sends the batch, then one edit after another while it runs; two workers with two slots each."""
    caller, wakeups = deployment.caller, deployment.wakeups
    with deployment.worker(timestep_seconds=0.1), deployment.worker(timestep_seconds=0.1):
        inversion = deployment.wait_for(caller.invert(_PERSON, source_prompt="a circle"), JobState.SUCCEEDED)
        images = [caller.image(shade) for shade in range(_IMAGES)]
        batch = send(caller, [item(n, images[n % _IMAGES], seed=n) for n in range(items)])
        seen, done = [0], list[Job]()

        def under_way() -> bool:
            seen.append(wakeups.waiting())
            return read(caller, batch).counts[JobState.SUCCEEDED] >= _FIRST

        wait_until(under_way, "the batch runs")
        for number in range(edits):
            edit = caller.edit(inversion.id, _PERSON, seed=number)
            seen.append(wakeups.waiting())
            done.append(deployment.wait_for(edit, JobState.SUCCEEDED))
            time.sleep(pause_seconds)
        batch = read(caller, batch)
    assert batch.state is BatchState.IN_PROGRESS, "the batch ended before the last edit; send a larger one"
    return Figures(
        [_between(job.queued_at, job.started_at) for job in done],
        [_between(job.started_at, job.finished_at) for job in done],
        slots=4,
        most_wakeups=max(seen),
        left=batch.unfinished,
    )


def _between(earlier: datetime | None, later: datetime | None) -> float:
    assert earlier is not None
    assert later is not None
    return (later - earlier).total_seconds()


@click.command()
@click.option("--items", type=click.IntRange(1), default=5000, show_default=True)
@click.option("--edits", type=click.IntRange(2), default=100, show_default=True)
@click.option("--pause-seconds", type=float, default=0.3, show_default=True, help="Between two edits.")
def main(*, items: int, edits: int, pause_seconds: float) -> None:
    """Print the figures as JSON; the exit status tells whether the promise was kept."""
    model = read_model(model_path(), name="pocket")
    with ExitStack() as stack:
        postgres, redis = stack.enter_context(Postgres()), stack.enter_context(Redis())
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        environment = {
            "DATA_DIR": str(Path(folder)),
            "DATABASE_URL": postgres.create_database("fairness"),
            "REDIS_URL": redis.url,
        }
        deployment = stack.enter_context(Deployment(environment, model=model))
        figures = measure(deployment, items=items, edits=edits, pause_seconds=pause_seconds)
    told = {
        "items": items,
        "items_left_at_the_end": figures.left,
        "edits": edits,
        "slots": figures.slots,
        "wait_p50_seconds": round(statistics.median(figures.waits), 3),
        "wait_p95_seconds": round(figures.wait_p95, 3),
        "wait_most_seconds": round(max(figures.waits), 3),
        "edit_median_seconds": round(figures.duration, 3),
        "most_wakeups": figures.most_wakeups,
    }
    click.echo(json.dumps(told, indent=1))
    sys.exit(0 if figures.wait_p95 <= 2 * figures.duration else 1)


if __name__ == "__main__":
    main()

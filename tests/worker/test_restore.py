"""A backup of a deployment that was at work, restored into another database: docs/howto/operate.md, tried."""

import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from core.domain.catalogue import Model
from core.domain.job import JobState
from tests.servers.postgres import Postgres
from tests.stack.deployment import PACE, Deployment
from tests.stack.fakes import load


def test_a_restored_backup_has_its_results_and_goes_on_with_its_jobs(
    distributed: Deployment, postgres_server: Postgres, tmp_path_factory: pytest.TempPathFactory, model: Model
) -> None:
    backup = tmp_path_factory.mktemp("backup")
    with distributed.worker(timestep_seconds=0.05):
        finished = distributed.wait_for(distributed.invert(shade=1), JobState.SUCCEEDED)
        running = distributed.invert(shade=2)
        distributed.wait_for(running, JobState.RUNNING)
        _run("pg_dump", "--format=custom", f"--file={backup}/jobs.dump", distributed.environment["DATABASE_URL"])
        shutil.copytree(Path(distributed.environment["DATA_DIR"]) / "objects", backup / "objects", copy_function=_copy)
    restored_url = postgres_server.create_database("restored")
    _run("pg_restore", "--no-owner", f"--dbname={restored_url}", f"{backup}/jobs.dump")

    environment = {**distributed.environment, **PACE, "DATABASE_URL": restored_url, "DATA_DIR": str(backup)}
    with Deployment(environment, model=model) as restored, restored.worker(timestep_seconds=0.01):
        done = restored.wait_for(running, JobState.SUCCEEDED)
        kept = load(restored.database, finished)
        files = [restored.caller.store.get(artifact.key) for job in (kept, done) for artifact in job.artifacts]
    postgres_server.drop_database("restored")

    assert kept == finished
    assert done.attempt == 2
    assert len(files) == 6


def _copy(source: str, target: str) -> None:
    # The worker replaces its checkpoints meanwhile; `cp` and `aws s3 sync` go on without them, too.
    with suppress(FileNotFoundError):
        shutil.copy2(source, target)


def _run(*command: str) -> None:
    # PostgreSQL's own programs know nothing of drivers.
    subprocess.run([word.replace("+psycopg", "") for word in command], check=True, capture_output=True)

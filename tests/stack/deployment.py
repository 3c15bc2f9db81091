"""One deployment with real worker processes, embedded or on servers."""

from typing import Self, final

from core.domain.catalogue import Model
from core.domain.job import Job, JobState
from core.queue.app import make_app
from core.settings import Settings
from core.wiring import build_database, build_store, build_wakeups, migrate
from tests.stack.fakes import load
from tests.stack.processes import WorkerProcess, wait_until
from tests.stack.studio import steps_in
from tests.stack.submitting import Caller

TIMESTEPS = 30

# Short, so that a lost worker is noticed soon.
PACE = {"LEASE_SECONDS": "1.5", "HEARTBEAT_SECONDS": "0.3", "SWEEP_SECONDS": "0.5"}


@final
class Deployment:
    """A caller's view of one deployment, and a way to start its workers."""

    def __init__(self, environment: dict[str, str], *, model: Model) -> None:
        settings = Settings.model_validate({name.lower(): value for name, value in environment.items()})
        migrate(settings)
        self.environment = environment
        self.journal = settings.data_dir / "journal"
        self.database = build_database(settings)
        self.app = make_app(settings)
        self.wakeups = build_wakeups(self.app, self.database)
        self.caller = Caller(self.database, build_store(settings), wakeups=self.wakeups, model=model)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.database.close()
        self.app.close()

    def worker(self, *, timestep_seconds: float | None = 0.1) -> WorkerProcess:
        """A new worker process; without a time for its timesteps it has the true studio."""
        return WorkerProcess(self.journal, self.environment, timestep_seconds=timestep_seconds)

    def invert(self, shade: int = 128) -> Job:
        """A submitted inversion, long enough to be interrupted."""
        return self.caller.invert(shade=shade, parameters={"timesteps": TIMESTEPS})

    def wait_for_steps(self, count: int) -> None:
        """Returns once the workers have computed so many timesteps in all."""
        wait_until(lambda: len(steps_in(self.journal)) >= count, f"{count} timesteps")

    def wait_for(self, job: Job, state: JobState) -> Job:
        """The job, once it is in this state."""
        wait_until(lambda: load(self.database, job).state is state, f"{job.id} {state}")
        return load(self.database, job)

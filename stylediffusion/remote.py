"""The command line as a caller of a running service."""

from collections.abc import Callable

from stylediffusion.answers import Job
from stylediffusion.client import Client
from stylediffusion.outcome import Outcome, file_name


def finish(client: Client, job: Job, *, on_progress: Callable[[float], None]) -> Outcome:
    """What a job has left, once it is done.

    Raises:
        JobFailed: it has left nothing.
    """
    done = client.wait(job, on_progress=lambda read: on_progress(read.progress.fraction))
    files = {file_name(one.name, one.media_type): client.artifact(done, one.name) for one in client.artifacts(done)}
    return Outcome(files, done.result or {}, done.warnings, done.metrics.get("compute_seconds"))

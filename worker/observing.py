"""What happens at every timestep: progress, a checkpoint or a preview when due, and the end when it is wanted.

An end that leaves nothing behind does not wait for the timestep: between two calls of the model is soon enough.
"""

import logging
from time import monotonic
from typing import final

from core.domain.errors import AppError
from core.domain.job import Progress
from core.domain.studio import Interrupted, Reached, StopReason
from core.usecases.attempts import checkpoint, keep_preview
from worker.heartbeat import Pulse
from worker.insisting import discard, insist
from worker.tools import Tools

_log = logging.getLogger(__name__)

_MOST_PREVIEWS = 10  # of one attempt, spread evenly over it


@final
class Watch:
    """The observer of one attempt."""

    def __init__(self, tools: Tools, pulse: Pulse, folder: str) -> None:
        self._tools = tools
        self._pulse = pulse
        self._folder = folder
        self._kept = pulse.claim.job.checkpoint_key
        self._kept_at = self._shown_at = monotonic()
        self._patience_seconds = tools.limits.patience_seconds
        self._share = 0  # of the computation, in parts that get a preview each
        self._previews: list[str] = []
        self._began: tuple[float, int] | None = None  # when, and at which timestep

    def __call__(self, reached: Reached) -> None:
        self._pulse.reached(self._progress(reached))
        # The attempt before had got so far when it was lost, or a little further.
        if reached.timestep > self._pulse.claim.job.progress.timestep + 1 and self._tools.seats.trust(
            self._pulse.claim
        ):
            self._tools.wakeups.send()  # another suspect may have waited for that
        self.check()
        stop = self._pulse.stop
        due = monotonic() - self._kept_at >= self._tools.limits.checkpoint_seconds[self._pulse.claim.job.kind]
        if reached.checkpoint is not None and (due or stop is StopReason.SHUTDOWN):
            self._keep(reached.checkpoint(), reached.timestep)
        if stop is not None:
            raise Interrupted(stop)
        share = reached.timestep * _MOST_PREVIEWS // reached.timesteps
        if reached.preview is not None and self._worth_showing(share):
            self._share = share
            self._show(reached.preview(), reached.timestep)

    def check(self) -> None:
        """Raises where nothing the attempt may still come to is wanted; a shutdown waits for the timestep."""
        stop = self._pulse.stop
        if stop in {StopReason.LOST, StopReason.CANCELED}:
            raise Interrupted(stop)

    @property
    def kept(self) -> str | None:
        """The object key of the newest checkpoint."""
        return self._kept

    @property
    def previews(self) -> list[str]:
        """The object keys of this attempt's previews."""
        return self._previews

    def _keep(self, data: bytes, timestep: int) -> None:
        """No timestep begins before the last one is kept; only an outage longer than a lease makes an exception."""
        key = f"{self._folder}/checkpoint-{timestep}"
        try:
            counts = insist(lambda: self._store(key, data), seconds=self._patience_seconds, unless=self._is_wanted)
        except AppError:
            _log.warning("A checkpoint of %s is left out.", self._pulse.claim.job.id, exc_info=True)
            # Waiting at every timestep of a long outage would help nobody.
            self._patience_seconds = 0.0
            return
        if not counts:
            raise Interrupted(StopReason.LOST)
        older, self._kept, self._kept_at = self._kept, key, monotonic()
        self._patience_seconds = self._tools.limits.patience_seconds
        if older is not None:
            discard(self._tools.store, [older])

    def _store(self, key: str, data: bytes) -> bool:
        # The object first: a row never points to nothing.
        self._tools.store.put(key, data, media_type="application/octet-stream")
        return checkpoint(self._tools.database, self._pulse.claim, key=key, progress=self._pulse.progress)

    def _is_wanted(self) -> bool:
        return self._pulse.stop is not None

    def _worth_showing(self, share: int) -> bool:
        """Not twice in one part or in quick succession, and not at the end: the result follows at once."""
        paused = monotonic() - self._shown_at >= self._tools.limits.preview_seconds
        return paused and self._share < share < _MOST_PREVIEWS

    def _show(self, data: bytes, timestep: int) -> None:
        self._shown_at = monotonic()
        key = f"{self._folder}/preview-{timestep}.png"
        try:
            self._tools.store.put(key, data, media_type="image/png")
            self._previews.append(key)
            counts = keep_preview(self._tools.database, self._pulse.claim, key=key, timestep=timestep)
        except AppError:
            _log.warning("A preview of %s is left out.", self._pulse.claim.job.id, exc_info=True)
            return
        if not counts:
            raise Interrupted(StopReason.LOST)

    def _progress(self, reached: Reached) -> Progress:
        now = monotonic()
        if self._began is None:
            self._began = now, reached.timestep
        began_at, first = self._began
        done, left = reached.timestep - first, reached.timesteps - reached.timestep
        eta = (now - began_at) / done * left if done > 0 else None
        return Progress(timestep=reached.timestep, timesteps=reached.timesteps, eta_seconds=eta)

"""The repository of the workers that are ready."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import final

from sqlalchemy import delete, insert, select, update

from core.domain.watching import Worker
from core.storage.rows import model_key
from core.storage.tables import workers
from core.storage.transaction import Transaction

_KEPT = timedelta(days=1)  # a lost worker's row, for whoever asks when it was seen last


@final
class SqlWorkers:
    """Implements `WorkerRepository`."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx

    def report(self, worker_id: str, *, model: Mapping[str, str], slots: int, lease_seconds: float) -> None:
        now = self._tx.now()
        seen = {"seen_at": now, "present_until": now + timedelta(seconds=lease_seconds)}
        known = update(workers).where(workers.c.id == worker_id).values(**seen)
        if self._tx.connection.execute(known).rowcount:
            return
        new = {"id": worker_id, "model": dict(model), "model_key": model_key(model), "slots": slots, "ready_at": now}
        self._tx.connection.execute(insert(workers).values(**new, **seen))
        self._tx.connection.execute(delete(workers).where(workers.c.seen_at < now - _KEPT))

    def forget(self, worker_id: str) -> None:
        self._tx.connection.execute(delete(workers).where(workers.c.id == worker_id))

    def clear(self) -> None:
        self._tx.connection.execute(delete(workers))

    def ready(self, *, model: Mapping[str, str] | None = None) -> Sequence[Worker]:
        present = select(workers).where(workers.c.present_until > self._tx.now()).order_by(workers.c.ready_at)
        if model is not None:
            present = present.where(workers.c.model_key == model_key(model))
        return [
            Worker(
                id=row.id,
                model=row.model,
                slots=row.slots,
                ready_at=row.ready_at,
                seen_at=row.seen_at,
                present_until=row.present_until,
            )
            for row in self._tx.connection.execute(present)
        ]

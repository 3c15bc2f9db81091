"""The repository of tenants and their usage."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, date
from types import ModuleType
from typing import final

from sqlalchemy import bindparam, func, select
from sqlalchemy.dialects import postgresql, sqlite

from core.domain.job import Job, JobClass
from core.domain.tenants import Tenant, Usage
from core.storage.tables import jobs
from core.storage.tenant_tables import tenants, usage
from core.storage.transaction import Transaction

_SOME_UNFINISHED = (
    select(jobs.c.id)
    .where(
        jobs.c.tenant == bindparam("tenant"),
        jobs.c.job_class == JobClass.INTERACTIVE,
        jobs.c.finished_at.is_(None),
    )
    .limit(bindparam("most"))
)
_UNFINISHED = select(func.count().label("count")).select_from(_SOME_UNFINISHED.subquery())


@final
class SqlTenants:
    """Implements `TenantRepository`."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx

    def ensure(self, name: str) -> None:
        row = asdict(Tenant(name=name))
        self._tx.connection.execute(_dialect(self._tx).insert(tenants).values(**row).on_conflict_do_nothing())

    def get(self, name: str) -> Tenant | None:
        row = self._tx.connection.execute(select(tenants).where(tenants.c.name == name)).mappings().one_or_none()
        return None if row is None else Tenant(**row)

    def put(self, tenant: Tenant) -> None:
        row = asdict(tenant)
        added = _dialect(self._tx).insert(tenants).values(**row)
        self._tx.connection.execute(added.on_conflict_do_update(index_elements=[tenants.c.name], set_=row))

    def list(self, *, after: str, limit: int | None) -> Sequence[Tenant]:
        query = select(tenants).where(tenants.c.name > after).order_by(tenants.c.name).limit(limit)
        return [Tenant(**row) for row in self._tx.connection.execute(query).mappings()]

    def usage(self, name: str, *, first: date, last: date) -> Sequence[Usage]:
        query = select(usage).where(usage.c.tenant == name, usage.c.day.between(first, last)).order_by(usage.c.day)
        return [
            Usage(day=row.day, jobs=row.jobs, compute_seconds=row.compute_seconds, bytes=row.bytes)
            for row in self._tx.connection.execute(query)
        ]

    def unfinished(self, name: str, *, limit: int) -> int:
        row = self._tx.one_with_clock(_UNFINISHED, {"tenant": name, "most": limit})
        return 0 if row is None else int(row["count"])


def charge(tx: Transaction, job: Job) -> None:
    """Adds what a job took to its tenant's day, in the commit that ends the job."""
    spent = {
        "jobs": 1,
        "compute_seconds": job.metrics.get("compute_seconds", 0.0),
        "bytes": sum(artifact.bytes for artifact in job.artifacts),
    }
    row = {"tenant": job.tenant, "day": tx.now().astimezone(UTC).date(), **spent}
    added = _dialect(tx).insert(usage).values(**row)
    total = {name: usage.c[name] + amount for name, amount in spent.items()}
    tx.connection.execute(added.on_conflict_do_update(index_elements=[usage.c.tenant, usage.c.day], set_=total))


def _dialect(tx: Transaction) -> ModuleType:
    return postgresql if tx.postgres else sqlite

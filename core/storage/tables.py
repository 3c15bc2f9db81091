"""The tables, the same for SQLite and Postgres; `migrations` builds them, and a test proves the two equal."""

from datetime import UTC, datetime
from typing import final

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    and_,
    literal_column,
    or_,
)
from sqlalchemy.dialects.postgresql import JSONB

from core.domain.job import JobState


@final
class UtcDateTime(TypeDecorator[datetime]):
    """A moment in UTC; SQLite, which knows no time zones, keeps it as text that sorts."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        moment = value.astimezone(UTC)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


Document = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
Id = String(40)  # prefix and 26 characters
Name = String(64)
Sha256 = String(64)
Number = BigInteger().with_variant(Integer(), "sqlite")  # SQLite counts upwards by itself only in an INTEGER key

metadata = MetaData(naming_convention={"ix": "ix_%(table_name)s_%(column_0_N_name)s", "pk": "pk_%(table_name)s"})

images = Table(
    "images",
    metadata,
    Column("id", Id, primary_key=True),
    Column("tenant", Name, nullable=False),
    Column("sha256", Sha256, nullable=False),
    Column("width", Integer, nullable=False),
    Column("height", Integer, nullable=False),
    Column("key", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    UniqueConstraint("tenant", "sha256", name="uq_images_tenant_sha256"),
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", Id, primary_key=True),
    Column("tenant", Name, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("job_class", String(16), nullable=False),
    Column("state", String(16), nullable=False),
    Column("method", Name, nullable=False),
    Column("inputs", Document, nullable=False),
    Column("parameters", Document, nullable=False),
    Column("model", Document, nullable=False),
    Column("model_key", Text, nullable=False),  # the same as one text: a worker takes jobs of its own model only
    Column("seed", BigInteger, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("queued_at", UtcDateTime),
    Column("started_at", UtcDateTime),
    Column("finished_at", UtcDateTime),
    Column("deadline_at", UtcDateTime),
    Column("expires_at", UtcDateTime),
    Column("erased_at", UtcDateTime),  # when its artifacts were forgotten
    Column("deleted_at", UtcDateTime),
    Column("tidied_at", UtcDateTime),  # when what its attempts left in the store was cleared away
    Column("lease_until", UtcDateTime),
    Column("fence", Integer, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("max_attempts", Integer, nullable=False),
    Column("cancel_requested", Boolean, nullable=False),
    Column("depends_on", Id),
    Column("leader", Id),
    Column("retry_of", Id),
    Column("batch_id", Id),
    Column("batch_item", Integer),
    Column("work_key", Sha256),
    Column("timestep", Integer, nullable=False),
    Column("timesteps", Integer, nullable=False),
    Column("eta_seconds", Float),
    Column("checkpoint_key", Text),
    Column("result", Document),
    Column("artifacts", Document, nullable=False),
    Column("error", Document),
    Column("metrics", Document, nullable=False),
    Column("warnings", Document, nullable=False),
    Column("metadata", Document, nullable=False),
    Column("webhook", Document),
    Column("request_id", String(128)),
)


def _state_is(state: JobState) -> object:
    return literal_column(f"'{state}'")


# Literals, not parameters: only then do both planners see that a partial index answers the query.
IS_WAITING = jobs.c.state == _state_is(JobState.WAITING)
IS_QUEUED = jobs.c.state == _state_is(JobState.QUEUED)
IS_RUNNING = jobs.c.state == _state_is(JobState.RUNNING)
IS_SUCCEEDED = jobs.c.state == _state_is(JobState.SUCCEEDED)
IS_UNFINISHED = or_(IS_WAITING, IS_QUEUED, IS_RUNNING)
HAS_ARTIFACTS = and_(IS_SUCCEEDED, jobs.c.erased_at.is_(None))

IS_UNTIDY = and_(jobs.c.finished_at.is_not(None), jobs.c.tidied_at.is_(None))

# By state, a large index would also answer for a small one: SQLite counted running jobs in that of all unfinished ones.
_PARTIAL = {
    "ix_jobs_queue": (IS_QUEUED, (jobs.c.job_class, jobs.c.model_key, jobs.c.tenant, jobs.c.queued_at, jobs.c.id)),
    "ix_jobs_running": (IS_RUNNING, (jobs.c.tenant, jobs.c.lease_until)),
    "ix_jobs_work": (jobs.c.work_key.is_not(None), (jobs.c.tenant, jobs.c.work_key)),
    "ix_jobs_leader": (jobs.c.leader.is_not(None), (jobs.c.leader,)),
    "ix_jobs_depends_on": (jobs.c.depends_on.is_not(None), (jobs.c.depends_on,)),
    "ix_jobs_batch": (jobs.c.batch_id.is_not(None), (jobs.c.batch_id, jobs.c.created_at, jobs.c.id)),
    "ix_jobs_unfinished": (jobs.c.finished_at.is_(None), (jobs.c.tenant, jobs.c.job_class)),
    "ix_jobs_deadline": (and_(IS_UNFINISHED, jobs.c.deadline_at.is_not(None)), (jobs.c.deadline_at,)),
    "ix_jobs_recent": (and_(IS_SUCCEEDED, jobs.c.leader.is_(None)), (jobs.c.job_class, jobs.c.finished_at)),
    "ix_jobs_waiting": (IS_WAITING, (jobs.c.job_class,)),
    "ix_jobs_untidy": (IS_UNTIDY, (jobs.c.finished_at,)),
    "ix_jobs_expiry": (and_(HAS_ARTIFACTS, jobs.c.expires_at.is_not(None)), (jobs.c.expires_at,)),
}
for _name, (_where, _columns) in _PARTIAL.items():
    Index(_name, *_columns, postgresql_where=_where, sqlite_where=_where)
Index("ix_jobs_list", jobs.c.tenant, jobs.c.created_at, jobs.c.id)
Index("ix_jobs_method", jobs.c.tenant, jobs.c.method, jobs.c.created_at, jobs.c.id)
# PostgreSQL's alone: SQLite has no index into a document, and would count running jobs in that by state (see above).
Index("ix_jobs_state", jobs.c.tenant, jobs.c.state, jobs.c.created_at, jobs.c.id).ddl_if(dialect="postgresql")
Index(
    "ix_jobs_metadata", jobs.c.metadata, postgresql_using="gin", postgresql_ops={"metadata": "jsonb_path_ops"}
).ddl_if(dialect="postgresql")

events = Table(
    "events",
    metadata,
    Column("number", Number, primary_key=True, autoincrement=True),
    Column("job_id", Id, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("state", String(16), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("data", Document, nullable=False),
    Index("ix_events_job", "job_id", "number"),
)

workers = Table(
    "workers",
    metadata,
    Column("id", Id, primary_key=True),
    Column("model", Document, nullable=False),
    Column("model_key", Text, nullable=False),
    Column("slots", Integer, nullable=False),
    Column("ready_at", UtcDateTime, nullable=False),
    Column("seen_at", UtcDateTime, nullable=False),
    Column("present_until", UtcDateTime, nullable=False),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", Id, primary_key=True),
    Column("tenant", Name, nullable=False),
    Column("name", Text, nullable=False),
    Column("secret_sha256", Sha256, nullable=False),
    Column("scopes", Document, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime),
    Column("retired_at", UtcDateTime),
    Column("revoked_at", UtcDateTime),
    Column("last_used_at", UtcDateTime),
)

idempotency = Table(
    "idempotency",
    metadata,
    Column("tenant", Name, primary_key=True),
    Column("key", String(255), primary_key=True),
    Column("fingerprint", Sha256, nullable=False),
    Column("status", Integer, nullable=False),
    Column("body", Document, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Index("ix_idempotency_created_at", "created_at"),
)

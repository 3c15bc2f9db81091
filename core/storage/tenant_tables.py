"""The tables of tenants: who they are, what they have used and uploaded, and what they are told."""

from sqlalchemy import BigInteger, Boolean, Column, Date, Float, Index, Integer, String, Table, Text, literal_column

from core.domain.webhooks import DeliveryState
from core.storage.tables import Document, Id, Name, UtcDateTime, metadata

tenants = Table(
    "tenants",
    metadata,
    Column("name", Name, primary_key=True),
    Column("fetch_urls", Boolean, nullable=False),
    Column("requests_per_minute", Integer),
    Column("max_unfinished_jobs", Integer),
    Column("compute_seconds_per_day", Float),
)

usage = Table(
    "usage",
    metadata,
    Column("tenant", Name, primary_key=True),
    Column("day", Date, primary_key=True),  # in UTC
    Column("jobs", Integer, nullable=False),
    Column("compute_seconds", Float, nullable=False),
    Column("bytes", BigInteger, nullable=False),
)

uploads = Table(
    "uploads",
    metadata,
    Column("id", Id, primary_key=True),
    Column("tenant", Name, nullable=False),
    Column("key", Text, nullable=False),
    Column("media_type", Name, nullable=False),
    Column("max_bytes", Integer, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
    Index("ix_uploads_expires_at", "expires_at"),
)

webhook_endpoints = Table(
    "webhook_endpoints",
    metadata,
    Column("id", Id, primary_key=True),
    Column("tenant", Name, nullable=False),
    Column("url", Text),
    Column("events", Document, nullable=False),
    Column("secret", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("disabled_at", UtcDateTime),
    Index("ix_webhook_endpoints_tenant", "tenant"),
)

webhook_deliveries = Table(
    "webhook_deliveries",
    metadata,
    Column("id", Id, primary_key=True),
    Column("tenant", Name, nullable=False),
    Column("subject_id", Id, nullable=False),
    Column("event", String(32), nullable=False),
    Column("url", Text, nullable=False),
    Column("named", Boolean, nullable=False),
    Column("body", Text, nullable=False),
    Column("state", String(16), nullable=False),
    Column("tries", Integer, nullable=False),
    Column("next_at", UtcDateTime),
    Column("last_status", Integer),
    Column("last_error", Text),
    Column("created_at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime),
    Index("ix_webhook_deliveries_list", "tenant", "created_at", "id"),
    Index("ix_webhook_deliveries_created_at", "created_at"),
)

# A literal, as in the conditions on jobs.
IS_PENDING = webhook_deliveries.c.state == literal_column(f"'{DeliveryState.PENDING}'")
Index(
    "ix_webhook_deliveries_due",
    webhook_deliveries.c.tenant,
    webhook_deliveries.c.next_at,
    postgresql_where=IS_PENDING,
    sqlite_where=IS_PENDING,
)

"""Tenants: what each may do, and what it has used."""

from collections.abc import Sequence
from datetime import date, timedelta

from core.domain.errors import NotFound
from core.domain.ports import Database
from core.domain.tenants import Tenant, Usage


def get_tenant(database: Database, name: str) -> Tenant:
    """One tenant.

    Raises:
        NotFound: no key was ever made for it.
    """
    with database.read() as uow:
        tenant = uow.tenants.get(name)
    if tenant is None:
        raise NotFound(f"There is no tenant {name}; the first key of one makes it.")
    return tenant


def put_tenant(database: Database, tenant: Tenant) -> None:
    """What a tenant may do from now on.

    Raises:
        NotFound: no key was ever made for it.
    """
    with database.begin() as uow:
        if uow.tenants.get(tenant.name) is None:
            raise NotFound(f"There is no tenant {tenant.name}; the first key of one makes it.")
        uow.tenants.put(tenant)
        uow.commit()


def list_tenants(database: Database, *, after: str = "", limit: int | None = None) -> Sequence[Tenant]:
    """By name, those that come after one."""
    with database.read() as uow:
        return uow.tenants.list(after=after, limit=limit)


def read_usage(database: Database, tenant: str, *, days: int) -> tuple[date, Sequence[Usage]]:
    """Today in UTC by the database's clock, and the days up to it on which anything was used."""
    with database.read() as uow:
        today = uow.now().date()
        return today, uow.tenants.usage(tenant, first=today - timedelta(days=days - 1), last=today)

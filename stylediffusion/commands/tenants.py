"""`tenants`: what each may do."""

from pathlib import Path
from typing import Any

import click

from stylediffusion.commands.keys import DATA, open_database


@click.group()
def tenants() -> None:
    """Show and change what tenants may do."""


@tenants.command("list")
@DATA
def list_all(*, data: Path | None) -> None:
    """Show every tenant; an empty place means the deployment's own limit."""
    from rich.console import Console
    from rich.table import Table

    from core.usecases.tenants import list_tenants

    table = Table("tenant", "fetch URLs", "requests/minute", "unfinished jobs", "compute seconds/day")
    with open_database(data) as database:
        for tenant in list_tenants(database):
            limits = (tenant.requests_per_minute, tenant.max_unfinished_jobs, tenant.compute_seconds_per_day)
            shown = ["" if limit is None else f"{limit:g}" for limit in limits]
            table.add_row(tenant.name, "yes" if tenant.fetch_urls else "no", *shown)
    Console().print(table)


@tenants.command("set")
@click.argument("name", metavar="TENANT")
@click.option("--fetch-urls/--no-fetch-urls", default=None, help="Images may be named by URL.")
@click.option("--requests-per-minute", type=click.IntRange(min=0), help="0: the deployment's own.")
@click.option("--max-unfinished-jobs", type=click.IntRange(min=0), help="0: the deployment's own.")
@click.option("--compute-seconds-per-day", type=click.FloatRange(min=0), help="0: the deployment's own.")
@DATA
def change(*, name: str, data: Path | None, **given: Any) -> None:
    """Change what TENANT may do; what is not given stays."""
    from dataclasses import replace

    from core.usecases.tenants import get_tenant, put_tenant

    changes = {field: value for field, value in given.items() if value is not None}
    limits = {field: value or None for field, value in changes.items() if field != "fetch_urls"}
    with open_database(data) as database:
        put_tenant(database, replace(get_tenant(database, name), **{**changes, **limits}))

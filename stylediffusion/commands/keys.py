"""`keys`: who may call."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from core.domain.ports import Database

DATA = click.option("--data", type=click.Path(path_type=Path, file_okay=False), help="The embedded service's folder.")


@click.group()
def keys() -> None:
    """Make, list and revoke API keys."""


@keys.command()
@click.argument("tenant")
@click.option("--name", default="", help="What you call it.")
@click.option("--scope", "scopes", multiple=True, help="May be repeated. [default: all but admin]")
@click.option("--days", type=click.FloatRange(min=0, min_open=True), help="Until it expires. [default: never]")
@DATA
def create(*, tenant: str, name: str, scopes: tuple[str, ...], days: float | None, data: Path | None) -> None:
    """Make a key for TENANT, whose jobs and images it will reach, and show it once."""
    from core.usecases.keys import CALLER_SCOPES, Scope, make_key

    unknown = set(scopes) - set(Scope)
    if unknown:
        raise click.BadParameter(f"{', '.join(sorted(unknown))}: there are {', '.join(Scope)}.", param_hint="--scope")
    with open_database(data) as database:
        chosen = frozenset(map(Scope, scopes)) or CALLER_SCOPES
        _, token = make_key(database, tenant, name=name, scopes=chosen, days=days)
    click.echo(token)


@keys.command("list")
@click.option("--tenant", help="Only this tenant's.")
@DATA
def list_all(*, tenant: str | None, data: Path | None) -> None:
    """Show every key, never its secret."""
    from rich.console import Console
    from rich.table import Table

    from core.usecases.keys import list_keys

    table = Table("id", "tenant", "name", "scopes", "created", "expires", "last used", "revoked")
    with open_database(data) as database:
        for key in list_keys(database, tenant):
            moments = (key.created_at, key.ends_at, key.last_used_at, key.revoked_at)
            shown = [moment.strftime("%Y-%m-%d %H:%M") if moment else "" for moment in moments]
            table.add_row(key.id, key.tenant, key.name, " ".join(sorted(key.scopes)), *shown)
    Console().print(table)


@keys.command()
@click.argument("key_id", metavar="ID")
@click.option("--overlap", "hours", type=click.FloatRange(min=0), default=24, help="Hours the old key goes on.")
@DATA
def rotate(*, key_id: str, hours: float, data: Path | None) -> None:
    """Make a key like an old one and show it once; the old one goes on for a while."""
    from datetime import timedelta

    from core.usecases.keys import rotate_key

    with open_database(data) as database:
        _, token = rotate_key(database, key_id, overlap=timedelta(hours=hours))
    click.echo(token)


@keys.command()
@click.argument("key_id", metavar="ID")
@DATA
def revoke(*, key_id: str, data: Path | None) -> None:
    """Refuse a key from now on."""
    from core.usecases.keys import revoke_key

    with open_database(data) as database:
        revoke_key(database, key_id)


@contextmanager
def open_database(data: Path | None) -> "Iterator[Database]":
    """The database of the settings, or of an embedded service's folder."""
    from core.wiring import build_database
    from stylediffusion.configuration import read_settings

    database = build_database(read_settings(data=data))
    try:
        yield database
    finally:
        database.close()

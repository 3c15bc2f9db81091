"""The command `stylediffusion`: every part of the service, and a caller's tools, each a subcommand.

Modules are imported where they are used, so that `--help` is immediate and the API never loads the algorithms.
"""

import sys
from importlib.metadata import version
from pathlib import Path

import click

from core.domain.errors import AppError
from core.settings import Settings


class _Command(click.Group):
    """Shows our own errors as one line, never as a traceback."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except AppError as error:
            raise click.ClickException(f"{error.detail} ({error.code})") from error


@click.group(cls=_Command, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("stylediffusion"))
def main() -> None:
    """Edit real photographs by words."""


@main.command()
@click.option("--port", default=8000, show_default=True, help="Where the API listens, on this machine only.")
@click.option("--data", type=click.Path(path_type=Path), help="Folder for everything that is kept (DATA_DIR).")
@click.option("--slots", type=click.IntRange(1, 256), help="Jobs run at once (SLOTS).")
def up(port: int, data: Path | None, slots: int | None) -> None:
    """Start API and worker together, without any server, until Ctrl-C."""
    from stylediffusion.embedded import run_embedded

    settings = Settings()
    given = {"data_dir": data or settings.data_dir, "slots": slots or settings.slots}
    sys.exit(run_embedded(settings.model_copy(update=given), port=port))


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8000, show_default=True, help="Port to listen on.")
def api(host: str, port: int) -> None:
    """Start the API alone; DATABASE_URL, REDIS_URL and S3_* say where the rest is."""
    import uvicorn

    from service.app import create_app
    from stylediffusion.parts import begin

    settings = begin()
    uvicorn.run(create_app(settings), host=host, port=port, log_config=None, access_log=False)


@main.command()
def worker() -> None:
    """Start a worker alone; MODEL says which model it loads."""
    from stylediffusion.parts import begin, load_studio
    from worker.app import run

    sys.exit(run(begin(), load_studio))


@main.command()
def migrate() -> None:
    """Bring the database's tables up to date."""
    from core.wiring import migrate as bring_up_to_date

    bring_up_to_date(Settings())
    click.echo("The tables are up to date.")


@main.group()
def keys() -> None:
    """Make, list and revoke API keys."""


@keys.command("create")
@click.argument("tenant")
@click.option("--name", default="", help="What the key is for.")
@click.option("--scope", "scopes", multiple=True, help="jobs:read, jobs:write, batches:write or admin; several times.")
@click.option("--days", type=float, help="Days until it expires; never, if left out.")
def create_key(tenant: str, *, name: str, scopes: tuple[str, ...], days: float | None) -> None:
    """Make a key for TENANT and show it, once."""
    from core.usecases.keys import CALLER_SCOPES, Scope, make_key
    from core.wiring import build_database

    unknown = [scope for scope in scopes if scope not in set(Scope)]
    if unknown:
        raise click.UsageError(f"There is no scope {unknown[0]}; the scopes are {', '.join(Scope)}.")
    wanted = {Scope(scope) for scope in scopes} or CALLER_SCOPES
    key, token = make_key(build_database(Settings()), tenant, name=name, scopes=wanted, days=days)
    click.echo(f"{token}\n{key.id} for {tenant}; it cannot be shown again.")


@keys.command("list")
@click.option("--tenant", help="Only this tenant's.")
def show_keys(tenant: str | None) -> None:
    """List keys; their secrets are not kept."""
    from core.usecases.keys import list_keys
    from core.wiring import build_database

    for key in list_keys(build_database(Settings()), tenant):
        state = "revoked" if key.revoked_at else f"expires {key.expires_at:%Y-%m-%d}" if key.expires_at else "valid"
        click.echo(f"{key.id}  {key.tenant}  {state}  {','.join(sorted(key.scopes))}  {key.name}")


@keys.command("revoke")
@click.argument("key_id")
def revoke(key_id: str) -> None:
    """Refuse a key from now on."""
    from core.usecases.keys import revoke_key
    from core.wiring import build_database

    revoke_key(build_database(Settings()), key_id)
    click.echo(f"{key_id} is revoked.")

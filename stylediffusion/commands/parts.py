"""`api`, `worker`, `migrate`: the parts of the service one by one, configured by the environment."""

import sys

import click

_with_parent = click.option("--with-parent", is_flag=True, hidden=True)


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True)
@click.option("--fd", type=int, hidden=True, help="A socket that is listening already.")
@_with_parent
def api(*, host: str, port: int, fd: int | None, with_parent: bool) -> None:
    """Answer HTTP requests; computes nothing itself."""
    import socket

    from stylediffusion.listening import listen
    from stylediffusion.processes import begin, run_api

    settings = begin(with_parent=with_parent)
    run_api(settings, listen(host, port) if fd is None else socket.socket(fileno=fd))


@click.command()
@_with_parent
def worker(*, with_parent: bool) -> None:
    """Run jobs, SLOTS at once, on one loaded model."""
    from stylediffusion.processes import begin, run_worker

    sys.exit(run_worker(begin(with_parent=with_parent)))


@click.command()
def migrate() -> None:
    """Bring the database up to date.

    Several machines may do so at once.
    """
    from core.wiring import migrate as bring_up_to_date
    from stylediffusion.configuration import read_settings

    bring_up_to_date(read_settings())

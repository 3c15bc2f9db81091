"""`up`: the whole service on this machine."""

from pathlib import Path

import click


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0: any that is free.")
@click.option(
    "--data", type=click.Path(path_type=Path, file_okay=False), help="Its folder. [default: DATA_DIR, else data]"
)
@click.option("--slots", type=click.IntRange(1, 256), help="Jobs at once. [default: SLOTS, else 2]")
def up(*, port: int, data: Path | None, slots: int | None) -> None:
    """Start the whole service on this machine.

    API and worker start together, without any server, and run until Ctrl-C. All state lies in one folder: jobs that
    were accepted go on at the next start.
    """
    import signal
    from threading import Event

    from stylediffusion.configuration import read_settings
    from stylediffusion.embedded import Embedded

    stop = Event()
    with Embedded(read_settings(data=data, slots=slots), port=port) as service:
        previous = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGINT, signal.SIGTERM)}
        click.echo(service.greeting)
        while not stop.wait(0.5):  # seconds; so long a dead process is missed
            service.mind()
        click.echo("Stopping; what is unfinished goes on at the next start.")
        # A second Ctrl-C waits for nothing.
        for number, handler in previous.items():
            signal.signal(number, handler)

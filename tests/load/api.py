"""The API with a million jobs in the database, beside a bare application: `python -m tests.load.api`.

Both answer on the same machine from the same PostgreSQL, in turns; the first turn of each is not counted.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import islice

import click
from sqlalchemy import Engine

from core.domain.catalogue import read_model
from core.pocket.weights import model_path
from core.storage.database import make_engine
from core.storage.migrate import upgrade
from stylediffusion.listening import listen
from tests.load import bare, listings
from tests.load.comparison import compare, crowd
from tests.load.items import draw_scenes
from tests.load.open_loop import Target
from tests.load.rows import Rows, unfinished_of
from tests.load.stack import CORES, Stack, running, servers
from tests.load.traffic import Traffic
from tests.stack.processes import is_ready, wait_until

_HOST = "127.0.0.1"


@click.command()
@click.option("--rows", type=click.IntRange(1000), default=1_000_000, show_default=True, help="Jobs in the database.")
@click.option("--per-second", type=click.FloatRange(1), default=50, show_default=True, help="Requests.")
@click.option("--rounds", type=click.IntRange(1), default=6, show_default=True, help="Turns of each that count.")
@click.option("--seconds", type=click.FloatRange(1), default=20, show_default=True, help="Of one turn.")
@click.option("--waiting", "waiters", type=click.IntRange(1), default=200, show_default=True, help="Callers who wait.")
def main(*, rows: int, per_second: float, rounds: int, seconds: float, waiters: int) -> None:
    """Print the figures as JSON."""
    count = int(per_second * seconds)
    with servers() as environment:
        upgrade(environment["DATABASE_URL"])
        engine = make_engine(environment["DATABASE_URL"])
        _fill(engine, rows)
        with running(environment) as stack, _bare(stack) as other, stack.client() as client:
            (scene,) = draw_scenes(1, seed=1)
            traffic = Traffic(rows=rows, unfinished=unfinished_of(rows), image_id=client.keep_image(scene.picture))
            ours = Target(stack.url, {"Authorization": f"Bearer {stack.key}"})
            turns = (
                lambda: list(islice(traffic.ours(), count)),
                lambda: list(islice(traffic.bare(), count)),
            )
            _say(compare((ours, other), turns, rounds=rounds, per_second=per_second))
            _say(listings.measure(ours))
            reads = islice(traffic.reads(), count)
            _say(crowd(stack, ours, list(reads), job_ids=traffic.queued(waiters), per_second=per_second))
        engine.dispose()


def _fill(engine: Engine, rows: int) -> None:
    began_at = time.monotonic()
    with engine.connect() as connection:
        Rows(connection, rows=rows, model=read_model(model_path(), name="pocket").identity).fill()
    bare.fill(engine)
    _say({"rows": rows, "filled_in_seconds": round(time.monotonic() - began_at)})


@contextmanager
def _bare(stack: Stack) -> Iterator[Target]:
    with closing(listen(_HOST, 0)) as listener:
        descriptor = listener.fileno()
        command = [sys.executable, "-m", "tests.load.bare", stack.database_url, str(descriptor)]
        tied = ["setpriv", "--pdeathsig=KILL", "--", *command]
        processes = [subprocess.Popen(tied, pass_fds=[descriptor]) for _ in range(CORES)]
        url = f"http://{_HOST}:{listener.getsockname()[1]}"
        try:
            wait_until(lambda: is_ready(url, "/docs"), "the bare application answers")
            yield Target(url)
        finally:
            for process in processes:
                process.terminate()
                process.wait()


def _say(figures: object) -> None:
    click.echo(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()

"""`make chaos`: `python -m tests.chaos --jobs 200` breaks a deployment while it works, and counts what is lost."""

import logging
import math
import os
import sys
import tempfile
import time
import uuid
from contextlib import ExitStack
from pathlib import Path

import click

from tests.chaos.defects import Defect
from tests.chaos.report import judge
from tests.chaos.run import Order, play
from tests.chaos.stack import DEFAULT_PACE, SHORT_PACE, Servers
from tests.servers.postgres import Postgres
from tests.servers.redis import Redis
from tests.servers.s3 import S3


@click.command()
@click.option("--jobs", type=click.IntRange(1), default=200, show_default=True, help="How many are sent.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the stories and of the monkey.")
@click.option("--database", type=click.Choice(["postgres", "sqlite"]), default="postgres", show_default=True)
@click.option(
    "--defect",
    type=click.Choice([one.value for one in Defect]),
    default=Defect.NONE.value,
    help="What is wrong on purpose.",
)
@click.option("--calm", type=click.FloatRange(1), default=2, show_default=True, help="Multiplies the monkey's pauses.")
@click.option("--minutes", type=click.FloatRange(0), default=math.inf, help="After which no more is sent.")
@click.option("--default-pace", is_flag=True, help="The service's own timings instead of a tenth of them.")
def main(*, jobs: int, seed: int, database: str, defect: str, calm: float, minutes: float, default_pace: bool) -> None:
    """Break a deployment while jobs run; the exit status tells whether every promise held."""
    os.environ["OMP_NUM_THREADS"] = "1"
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s")
    logging.getLogger("tests.chaos").setLevel(logging.INFO)
    began_at = time.monotonic()
    pace = DEFAULT_PACE if default_pace else SHORT_PACE
    order = Order(jobs=jobs, seed=seed, defect=Defect(defect), pace=pace, calm=calm, seconds=60 * minutes)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="stylediffusion-chaos-")))
        servers = None if database == "sqlite" else _servers(stack)
        report = judge(play(servers, folder, order))
    click.echo("\n".join(report.lines))
    click.echo(f"{database}, seed {seed}, calm {calm:g}, defect {defect}, {time.monotonic() - began_at:.0f} s")
    click.echo(report.last)
    sys.exit(not report.holds)


def _servers(stack: ExitStack) -> Servers:
    postgres, redis, s3 = stack.enter_context(Postgres()), stack.enter_context(Redis()), stack.enter_context(S3())
    name = f"chaos{uuid.uuid4().hex}"
    return Servers(postgres, redis, s3, postgres.create_database(name), s3.create_bucket(name))


if __name__ == "__main__":
    main()

"""A large batch through the whole service, on the packaged model: `python -m tests.load.batch`.

Two batches are sent: one is followed to its end and checked item by item, one is canceled half-way.
"""

import json
import sys
from dataclasses import asdict

import click

from tests.load.batch_run import Canceled, Order, Run, cancel_at, follow, send
from tests.load.items import draw_scenes
from tests.load.stack import running, servers

_SHOWN = 10  # faults of a failed run
_WATCH_SECONDS = 20  # longer than anything that could still start a job: a sweep, and a wake-up on its way


@click.command()
@click.option("--items", type=click.IntRange(2), default=1000, show_default=True)
@click.option("--images", type=click.IntRange(1), default=200, show_default=True)
@click.option("--bad", type=click.IntRange(0), default=50, show_default=True, help="Items with a fault.")
@click.option("--timesteps", type=click.IntRange(1), default=10, show_default=True)
@click.option(
    "--slots", type=click.IntRange(2), default=9, show_default=True, help="Of the worker; one takes no batch."
)
@click.option("--setting", "settings", multiple=True, metavar="NAME=VALUE", help="Of the service.")
def main(*, items: int, images: int, bad: int, timesteps: int, slots: int, settings: tuple[str, ...]) -> None:
    """Print the figures as JSON; the exit status tells whether everything was as it should be."""
    order = Order(items, images, bad, timesteps)
    given = dict(setting.split("=", 1) for setting in settings)
    with servers() as environment, running({**environment, **given}, slots=slots) as stack, stack.client() as client:
        run = send(client, order, draw_scenes(images, seed=1))
        follow(client, run)
        click.echo(json.dumps(_told(run), indent=1))
        other = send(client, order, draw_scenes(images, seed=2))
        canceled = cancel_at(stack, client, other, done=items // 2, watch_seconds=_WATCH_SECONDS)
        click.echo(json.dumps(asdict(canceled), indent=1))
    sys.exit(0 if _is_good(order, run) and _has_stopped(order, canceled) else 1)


def _told(run: Run) -> dict[str, object]:
    wrong = run.wrong()
    return {
        "items": len(run.items),
        "seconds": round(run.upload_seconds + run.accept_seconds + run.seconds, 1),
        "upload_seconds": round(run.upload_seconds, 1),
        "accept_seconds": round(run.accept_seconds, 1),
        "first_result_seconds": round(run.first_seconds, 1),
        "read_while_running": run.early,
        "counts": run.counts,
        "codes": run.codes(),
        "not_as_they_should_be": len(wrong),
        "for_example": wrong[:_SHOWN],
    }


def _is_good(order: Order, run: Run) -> bool:
    return not run.wrong() and run.counts["failed"] == order.bad and run.early > order.items // 2


def _has_stopped(order: Order, canceled: Canceled) -> bool:
    return canceled.begun_after == 0 and sum(canceled.counts.values()) == order.items


if __name__ == "__main__":
    main()

"""`demo`: the whole way, from a picture to three edits."""

from pathlib import Path

import click


@click.command()
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("out/demo"),
    show_default=True,
    help="For the pictures.",
)
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Another one draws another scene.")
def demo(*, out: Path, seed: int) -> None:
    """Edit a drawn scene from end to end.

    The service starts on a free port, inverts the scene, edits it by three sentences, and what came of it is measured.
    """
    from stylediffusion.demo.run import run_demo

    run_demo(out, seed=seed, inversion={})

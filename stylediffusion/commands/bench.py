"""`bench`: how good the methods are, in numbers."""

from pathlib import Path

import click


@click.group()
def bench() -> None:
    """Measure the methods."""


@bench.command()
@click.option("--n", "count", type=click.IntRange(1), default=40, show_default=True, help="Scenes; three edits each.")
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), default=Path("out/bench/scenes"), show_default=True
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Another one draws other scenes.")
def scenes(*, count: int, out: Path, seed: int) -> None:
    """Edit drawn scenes with every method and let the judge read the results.

    A run that was stopped goes on where it stood.
    """
    from stylediffusion.benchmarks import run_scenes

    run_scenes(count, out, seed=seed)


@bench.command()
@click.option("--n", "count", type=click.IntRange(1), default=3, show_default=True, help="Scenes; an edit each.")
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), default=Path("out/bench/table"), show_default=True
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Another one draws other scenes.")
def table(*, count: int, out: Path, seed: int) -> None:
    """Try every inversion with every edit method and put all results into one picture.

    A run that was stopped goes on where it stood.
    """
    from stylediffusion.benchmarks import run_method_table

    run_method_table(count, out, seed=seed)

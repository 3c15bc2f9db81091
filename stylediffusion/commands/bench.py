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


@bench.command()
@click.option("--model", default="pocket", show_default=True, help="pocket, a folder, or sd15-random.")
@click.option("--timesteps", type=click.IntRange(2, 200), default=6, show_default=True, help="T of every job.")
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True, help="Times that all take their turn.")
@click.option("--device", type=click.Choice(["cpu", "cuda"]), help="Else cuda where there is one.")
@click.option("--json", "as_lines", is_flag=True, help="Two lines of JSON: every figure, then the ratios.")
def engine(*, model: str, timesteps: int, rounds: int, device: str | None, as_lines: bool) -> None:
    """Measure the engine beside the loop of the paper, one job at a time.

    Both take the same inner steps without early stop, in turns, in one run.
    """
    from stylediffusion.engine_benchmark import run_engine

    run_engine(model, timesteps=timesteps, rounds=rounds, device=device, as_lines=as_lines)

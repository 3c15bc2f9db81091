"""`python -m core.pocket.train --work DIR`: from nothing to the packaged model, resumable at any moment."""

from pathlib import Path
from typing import Final

import click
import torch
from rich.console import Console

from core.pocket.train.loop import Budget
from core.pocket.train.progress import Reporter
from core.pocket.train.stages import TRAINED, Recipe, Stage, run_stage

# What a patient CPU core needs for the figures in docs/pocket.md; a GPU gets through the same steps in minutes.
_BUDGETS: Final = {
    Stage.JUDGE: Budget(minutes=8),
    Stage.VAE: Budget(minutes=45),
    Stage.CLIP: Budget(minutes=20),
    Stage.UNET: Budget(minutes=480),
}
_BATCHES: Final = {Stage.JUDGE: 64, Stage.VAE: 16, Stage.CLIP: 128, Stage.UNET: 32}


@click.command()
@click.option("--work", type=click.Path(path_type=Path), required=True, help="Folder of checkpoints and the log.")
@click.option("--out", type=click.Path(path_type=Path), help="Where export writes the model. [WORK/model]")
@click.option("--stages", default=",".join(Stage), show_default=True, help="Which stages to run, in this order.")
@click.option("--start", type=click.Path(path_type=Path, exists=True), help="A model to begin from.")
@click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True)
@click.option("--threads", default=1, show_default=True, help="CPU threads.")
@click.option("--scenes", default=48_000, show_default=True, help="Pictures to draw for training.")
@click.option("--seed", default=1, show_default=True)
@click.option("--budget", "budgets", multiple=True, metavar="STAGE=AMOUNT", help="90m is minutes, 5000 is steps.")
@click.option("--batch", "batches", multiple=True, metavar="STAGE=N", help="Pictures a step.")
@click.option("--compile", "compiled", is_flag=True, help="Compile networks first: minutes lost, then faster.")
def main(
    *,
    work: Path,
    out: Path | None,
    stages: str,
    start: Path | None,
    device: str,
    threads: int,
    scenes: int,
    seed: int,
    budgets: tuple[str, ...],
    batches: tuple[str, ...],
    compiled: bool,
) -> None:
    """Train the pocket model. Run it again to go on where it stopped; give a larger budget to train further."""
    torch.set_num_threads(threads)
    work.mkdir(parents=True, exist_ok=True)
    recipe = Recipe(
        work=work,
        out=out or work / "model",
        start=start,
        device=device,
        scenes=scenes,
        seed=seed,
        budgets=_BUDGETS | {_stage(one): _amount(one) for one in budgets},
        batches=_BATCHES | {_stage(one): int(one.partition("=")[2]) for one in batches},
        compiled=compiled,
    )
    reporter = Reporter(Console(), work / "train.log")
    for stage in stages.split(","):
        run_stage(Stage(stage), recipe, reporter)


def _stage(setting: str) -> Stage:
    name = setting.partition("=")[0]
    if name not in TRAINED:
        raise click.BadParameter(f"{name!r} is no trained stage: {', '.join(TRAINED)}")
    return Stage(name)


def _amount(setting: str) -> Budget:
    amount = setting.partition("=")[2]
    if amount.endswith("m"):
        return Budget(minutes=float(amount[:-1]))
    return Budget(steps=int(amount))


if __name__ == "__main__":
    main()

"""`python -m core.evaluation.inner_budgets`: how many inner steps an inversion by StyleDiffusion needs, and where.

Each setting inverts the same scenes and edits each three ways by P2Plus; reconstruction is free-running.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from types import MappingProxyType
from typing import Any, Final

import click
import torch
from rich.console import Console
from rich.table import Table

from core.domain.catalogue import read_model
from core.evaluation.benchmark_scenes.contenders import Contender
from core.evaluation.benchmark_scenes.rows import Row, RowFile
from core.evaluation.benchmark_scenes.runner import run_cases, setup
from core.evaluation.benchmark_scenes.summary import paired_interval
from core.evaluation.laboratory import Laboratory
from core.pocket.weights import model_path

_NO_CLOSING: Final = {"closing_steps": 0}
SETTINGS: Final[Mapping[str, Mapping[str, Any]]] = MappingProxyType(
    {
        "published": {"inner_steps": 100, "inner_decay": 0.1, **_NO_CLOSING},
        "flat-8": {"inner_steps": 8, **_NO_CLOSING},
        "2-closing-8": {"inner_steps": 2, "closing_steps": 8},
        "1-closing-8": {"inner_steps": 1, "closing_steps": 8},
    }
)
_COMPARED: Final = ("success", "background_psnr", "object_psnr")


def run_setting(laboratory: Laboratory, name: str, folder: Path, *, scenes: int) -> list[Row]:
    """The rows of one setting; a folder that has some is gone on with."""
    model = laboratory.model
    other = replace(laboratory, model=replace(model, defaults={**model.defaults, **SETTINGS[name]}))
    file = RowFile(folder / name, setup(other, seed=0))
    contenders = [Contender.STYLEDIFFUSION_P2PLUS]
    run_cases(other, file, scenes=scenes, seed=0, done=lambda _: None, contenders=contenders)
    return [row for row in file.rows if row.scene < scenes]


def compare(rows: Sequence[Row], others: Sequence[Row], value: str) -> str:
    """The mean of paired differences with its 95 % interval, scenes drawn anew."""
    theirs = {row.key: getattr(row, value) for row in others}
    pairs: dict[int, list[float]] = {}
    for row in rows:
        own, its = getattr(row, value), theirs.get(row.key)
        if own is not None and its is not None:
            pairs.setdefault(row.scene, []).append(float(own) - float(its))
    return "{:+.2f} ({:+.2f} … {:+.2f})".format(*paired_interval(list(pairs.values())))


def _line(name: str, rows: Sequence[Row], first: Sequence[Row]) -> list[str]:
    once = {row.scene: row for row in rows}.values()
    decibels = [row.reconstruction_psnr_autoencoder or 0.0 for row in once]
    efforts = [row.inversion for row in once if row.inversion is not None]
    return [
        name,
        f"{fmean(one.forwards for one in efforts):.0f} + {fmean(one.backwards for one in efforts):.0f}",
        f"{fmean(decibels):.1f}",
        f"{min(decibels):.1f}",
        f"{fmean(row.success for row in rows):.0%}",
        f"{fmean(row.background_psnr for row in rows if row.background_psnr is not None):.1f}",
        *(compare(rows, first, value) for value in _COMPARED),
    ]


@click.command()
@click.option("--n", "scenes", type=click.IntRange(1), default=40, show_default=True, help="Scenes; three edits each.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("out/bench/budgets"), show_default=True)
@click.option("--setting", "names", multiple=True, type=click.Choice(list(SETTINGS)), help="Some of them. [all]")
@click.option("--threads", default=1, show_default=True, help="CPU threads.")
def main(*, scenes: int, out: Path, names: tuple[str, ...], threads: int) -> None:
    """Compare inner budgets; differences are to the first setting, paired, with 95 % intervals."""
    torch.set_num_threads(threads)
    laboratory = Laboratory.open(read_model(model_path(), name="pocket"), device="cpu")
    table = Table("setting", "passes", "dB", "worst", "success", "background dB", *map("Δ {}".format, _COMPARED))
    first: list[Row] = []
    for name in names or SETTINGS:
        rows = run_setting(laboratory, name, out, scenes=scenes)
        first = first or rows
        table.add_row(*_line(name, rows, first))
    laboratory.engine.close()
    Console(width=160).print(table)


if __name__ == "__main__":
    main()

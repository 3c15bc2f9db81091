"""What the commands of `bench` do: run, write, and print what came of it."""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import torch
from rich.console import Console
from rich.table import Table

from core.evaluation.benchmark_scenes.contenders import Contender, Kind
from core.evaluation.benchmark_scenes.rows import RowFile
from core.evaluation.benchmark_scenes.runner import run_cases, setup
from core.evaluation.benchmark_scenes.sheet import draw_sheet
from core.evaluation.benchmark_scenes.summary import Summary, summarise
from core.evaluation.laboratory import Laboratory
from core.evaluation.method_table import EDITORS, INVERTERS, Cell, draw_table, draw_table_cases, run_table
from core.images import to_png
from core.settings import Settings
from core.wiring import build_model
from stylediffusion.progress import progress_bar

# Lines of the sheet: more cannot be taken in.
_SHEET_SCENES: Final = 8


def run_scenes(count: int, out: Path, *, seed: int) -> None:
    """Leaves rows, pictures, a contact sheet and a summary in a folder, and prints the summary.

    Raises:
        InputError: the folder holds rows of another setup.
    """
    console, started = Console(), time.monotonic()
    laboratory = _open_laboratory()
    file = RowFile(out, setup(laboratory, seed=seed))
    wanted = count * len(Kind) * len(Contender)
    with progress_bar(console, f"{count} scenes") as on_progress:
        run_cases(laboratory, file, scenes=count, seed=seed, done=lambda _: on_progress(len(file.rows) / wanted))
    rows = [row for row in file.rows if row.scene < count]
    summary = summarise(rows)
    (out / "summary.json").write_text(json.dumps(summary.as_json(), indent=1))
    (out / "sheet.png").write_bytes(to_png(draw_sheet(file, scenes=min(count, _SHEET_SCENES), seed=seed)))
    _print(summary, console)
    console.print(
        f"{out} holds rows.jsonl ({len(rows)} rows), summary.json and sheet.png; "
        f"{time.monotonic() - started:.0f} seconds.",
        soft_wrap=True,
    )


def run_method_table(count: int, out: Path, *, seed: int) -> None:
    """Leaves cells, pictures and a contact sheet in a folder, and prints a table of verdicts."""
    console, started = Console(), time.monotonic()
    laboratory = _open_laboratory()
    cases = draw_table_cases(count, seed=seed)
    wanted, found = count * len(INVERTERS) * len(EDITORS), 0
    with progress_bar(console, f"{count} scenes") as on_progress:

        def done(_: Cell) -> None:
            nonlocal found
            found += 1
            on_progress(found / wanted)

        cells = run_table(laboratory, cases, out, done=done)
    (out / "table.png").write_bytes(to_png(draw_table(cases, cells, out)))
    console.print(_verdicts(cells))
    console.print(
        f"{out} holds cells.jsonl and table.png; {time.monotonic() - started:.0f} seconds.",
        soft_wrap=True,
    )


def _open_laboratory() -> Laboratory:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return Laboratory.open(build_model(Settings(model="pocket")), device=device)


def _verdicts(cells: Sequence[Cell]) -> Table:
    """Of how many scenes each pair made what was asked, with the rest kept."""
    table = Table("inversion", *EDITORS)
    for inverter in INVERTERS:
        line = []
        for editor in EDITORS:
            own = [cell.verdict for cell in cells if cell.inverter is inverter and cell.editor is editor]
            line.append(f"{own.count('ok')} of {len(own)}" if set(own) - {"refused", "made"} else own[0])
        table.add_row(inverter, *line)
    return table


def _print(summary: Summary, console: Console) -> None:
    inversions = Table(
        "inversion", "dB to the source", "dB to the autoencoder", "worst", "UNet passes", title="Reconstruction"
    )
    for one in summary.fidelities:
        passes = f"{one.forwards:.0f} + {one.backwards:.0f} backward"
        figures = (one.psnr_source, one.psnr_autoencoder, one.worst_psnr_autoencoder)
        inversions.add_row(one.inverter, *(f"{value:.1f}" for value in figures), passes)
    rates = Table(
        "edit", "contender", "success", "where generation succeeds", "background dB", "object dB", title="Edits"
    )
    for rate in summary.rates:
        possible = "" if rate.possible is None else f"{rate.possible:.0%} of {rate.possible_scenes}"
        kept = (_decibels(rate.background_psnr), _decibels(rate.object_psnr))
        rates.add_row(rate.kind, rate.contender, f"{rate.success:.0%} of {rate.scenes}", possible, *kept)
    differences = Table(
        "measure", "edits", "to", "difference", "95 % interval", title=f"{next(iter(Contender))} minus others"
    )
    for difference in summary.differences:
        interval = f"{difference.low:+.2f} … {difference.high:+.2f}"
        kind = difference.kind or "all"
        differences.add_row(difference.measure, kind, difference.other, f"{difference.mean:+.2f}", interval)
    console.print(inversions, rates, differences)


def _decibels(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"

"""What `bench engine` prints."""

import json
from contextlib import nullcontext
from typing import Final

import click
import torch
from rich.console import Console
from rich.table import Table

from core.domain.catalogue import read_model
from core.evaluation.engine_benchmark.models import RANDOM, random_model
from core.evaluation.engine_benchmark.ratios import as_json, ratios
from core.evaluation.engine_benchmark.runner import IN_FLIGHT, Measured, run_benchmark
from core.evaluation.engine_benchmark.tasks import Budget
from core.wiring import locate_model

# Where a model has no default of its own.
_GUIDANCE: Final = 7.5


def run_engine(name: str, *, timesteps: int, rounds: int, device: str | None, as_lines: bool) -> None:
    """Measures, and prints tables, or with `as_lines` two lines of JSON: every figure, then the ratios.

    Raises:
        Unavailable: there is no model of this name.
    """
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    if device == "cuda" and not torch.cuda.is_available():
        raise click.UsageError("--device cuda: torch sees no CUDA device here")
    messages = Console(stderr=True)
    opened = random_model() if name == RANDOM else nullcontext(read_model(locate_model(name, weights=True), name=name))
    with opened as model:
        budget = Budget(timesteps, guidance=model.defaults.get("guidance", _GUIDANCE))
        measured = run_benchmark(model, budget, device=device, rounds=rounds, done=messages.print, in_flight=IN_FLIGHT)
    if as_lines:
        setup = {"model": name, "device": device, "timesteps": timesteps, "threads": torch.get_num_threads()}
        print(json.dumps({"setup": setup, **as_json(measured)}))
        print(json.dumps(ratios(measured)))
    else:
        _print(measured, Console())


def _print(measured: Measured, console: Console) -> None:
    table = Table("contender", "seconds a job", "forward + backward", "GFLOP", "of the peak", "MB", "dB", "last loss")
    for line in measured.lines.values():
        table.add_row(
            line.name,
            f"{line.seconds:.3f}",
            f"{line.forwards:.0f} + {line.backwards:.0f}",
            "" if line.flops is None else f"{line.flops / 1e9:.1f}",
            "" if line.peak_share is None else f"{line.peak_share:.0%}",
            "" if line.memory_bytes is None else f"{line.memory_bytes / 1e6:.0f}",
            f"{line.quality.psnr:.2f}",
            "" if line.quality.loss is None else f"{line.quality.loss:.2e}",
        )
    faster = Table("times the throughput of the reference loop", "with the released habits (a)", "without (b)")
    for name, one in ratios(measured).items():
        faster.add_row(name, f"{one['a']:.2f}", f"{one['b']:.2f}")
    console.print(table, faster)
    crowding = measured.crowding
    console.print(
        f"An edit beside inversions takes {crowding.latency_ratio:.2f} times as long as alone "
        f"(of {crowding.edits} edits); "
        f"the inversions keep {crowding.throughput_kept:.0%} of their throughput. "
        f"Matrix products: {measured.peak / 1e9:.0f} GFLOP/s.",
        soft_wrap=True,
    )

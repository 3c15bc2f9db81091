"""Runs the contenders: many solvers in flight in one engine, each scene's inversions shared by its edits."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from itertools import chain
from typing import Any, Final, TypeAlias

from core.domain.inversion_specs import InversionMethod
from core.evaluation.benchmark_scenes.contenders import (
    MEASURED,
    PRESETS,
    Case,
    Contender,
    draw_cases,
    edit_spec,
    inversion_spec,
)
from core.evaluation.benchmark_scenes.rows import Row, RowFile
from core.evaluation.laboratory import EditedScene, Inverted, Laboratory
from core.evaluation.psnr import psnr
from core.evaluation.scene_edits import Verdict, reading_as_json
from core.images import to_png

# Solvers at once: in a call of 8 to 16 a row costs 2.5 times less than alone; on a CPU more rows gain nothing.
IN_FLIGHT: Final = 16

Task: TypeAlias = list[tuple[Case, Contender]]  # edits that share one inversion


def setup(laboratory: Laboratory, *, seed: int) -> dict[str, Any]:
    """All that a row depends on besides its own key."""
    model = laboratory.model
    return {
        "seed": seed,
        "stream": MEASURED,
        "model": {"name": model.name, "revision": model.revision},
        "presets": {kind.value: dict(preset) for kind, preset in PRESETS.items()},
        "inversions": {
            one.inverter.value: inversion_spec(one.inverter, model.defaults).model_dump(mode="json")
            for one in Contender
            if one.inverter is not None
        },
    }


def run_cases(
    laboratory: Laboratory,
    file: RowFile,
    *,
    scenes: int,
    seed: int,
    done: Callable[[Row], None],
    contenders: Sequence[Contender] = tuple(Contender),
) -> None:
    """Computes every row that the file lacks; `done` is called with each, in this thread."""
    tasks = _missing(file, contenders, scenes=scenes, seed=seed)
    with ThreadPoolExecutor(IN_FLIGHT) as pool:
        futures = [pool.submit(_run_task, laboratory, file, task, seed=seed) for task in tasks]
        try:
            for future in as_completed(futures):
                for row in future.result():
                    done(row)
        except BaseException:
            # What is in flight ends at its next call; the rows so far are kept.
            pool.shutdown(wait=False, cancel_futures=True)
            laboratory.engine.close()
            raise


def _missing(file: RowFile, contenders: Sequence[Contender], *, scenes: int, seed: int) -> list[Task]:
    """What is to be done, all edits of one inversion together."""
    present = {row.key for row in file.rows}
    tasks: dict[tuple[int, InversionMethod | None], Task] = defaultdict(list)
    for case in chain.from_iterable(draw_cases(scene, seed=seed) for scene in range(scenes)):
        for contender in contenders:
            if (case.scene, case.kind, contender) not in present:
                tasks[case.scene, contender.inverter].append((case, contender))
    return list(tasks.values())


def _run_task(laboratory: Laboratory, file: RowFile, task: Task, *, seed: int) -> list[Row]:
    first, contender = task[0]
    source = _invert(laboratory, first, contender.inverter, seed=seed)
    rows = []
    for case, one in task:
        edited = laboratory.edit(source, case.edit, edit_spec(one, case.kind))
        row = _measure(case, one, case.edit.judge(laboratory.judge, edited.picture), edited=edited, source=source)
        file.add(row, to_png(edited.picture))
        rows.append(row)
    return rows


def _invert(laboratory: Laboratory, case: Case, method: InversionMethod | None, *, seed: int) -> Inverted:
    if method is None:
        return laboratory.generate(case.edit, seed=seed * 100_003 + case.scene)
    return laboratory.invert(case.edit, inversion_spec(method, laboratory.model.defaults))


def _measure(case: Case, contender: Contender, verdict: Verdict, *, edited: EditedScene, source: Inverted) -> Row:
    kept = psnr(source.autoencoded, edited.picture, case.edit.kept_region()) if contender.inverter else None
    by_source, by_autoencoder = source.fidelity or (None, None)
    return Row(
        scene=case.scene,
        kind=case.kind,
        contender=contender,
        source_prompt=case.edit.prompts[0],
        target_prompt=case.edit.prompts[1],
        reading=reading_as_json(verdict.reading),
        asked=verdict.asked,
        kept=verdict.kept,
        success=verdict.success,
        background_psnr=kept if case.edit.of_the_object else None,
        object_psnr=None if case.edit.of_the_object else kept,
        reconstruction_psnr=by_source,
        reconstruction_psnr_autoencoder=by_autoencoder,
        inversion=source.effort,
        edit=edited.effort,
    )

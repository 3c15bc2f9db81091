"""Comparing inner budgets over scenes."""

from dataclasses import replace
from pathlib import Path

from core.domain.catalogue import read_model
from core.evaluation.inner_budgets import compare, run_setting
from core.evaluation.laboratory import Laboratory
from core.pocket.weights import model_path
from tests.evaluation.test_benchmark_scenes import row


def test_differences_are_paired_by_edit() -> None:
    ours = [row(scene, background_psnr=31.0 + scene) for scene in range(3)]
    theirs = [row(scene, background_psnr=30.0 + scene) for scene in reversed(range(4))]

    assert compare(ours, theirs, "background_psnr") == "+1.00 (+1.00 … +1.00)"


def test_a_setting_leaves_three_edits_a_scene(tmp_path: Path) -> None:
    model = read_model(model_path(), name="pocket")
    laboratory = Laboratory.open(replace(model, defaults={**model.defaults, "timesteps": 2}), device="cpu")
    try:
        rows = run_setting(laboratory, "1-closing-8", tmp_path, scenes=1)
    finally:
        laboratory.engine.close()

    assert len(rows) == 3
    assert all(row.inversion is not None and row.inversion.backwards == 1 + 8 for row in rows)

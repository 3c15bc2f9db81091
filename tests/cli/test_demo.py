"""The demo with a tiny budget: a service of its own, every file, every figure."""

import json
from pathlib import Path

import pytest

from stylediffusion.demo.run import run_demo


@pytest.mark.timeout(600)  # seconds; twice the usual, for a machine that does other things
def test_the_demo_shows_and_measures_three_edits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_demo(tmp_path, seed=0, inversion={"timesteps": 4, "inner_steps": 1})

    shown = capsys.readouterr().out
    report = json.loads((tmp_path / "report.json").read_text())
    edits = [f"edit-{name}" for name in ("attribute", "object", "word")]
    pictures = {path.stem for path in tmp_path.glob("*.png")}
    assert pictures == {"source", "reconstruction", "attention", "comparison", *edits}
    assert report["reconstruction"].keys() == {"psnr_source", "psnr_autoencoder"}
    assert report["seconds"].keys() == {"start", "all", "inversion"}
    assert [edit["asked"] for edit in report["edits"]][2] == "striped"
    assert all(edit["background_psnr"] > 0 and edit["reading"] for edit in report["edits"])
    assert "of 3 edits are right in every attribute" in shown

"""The benchmark of drawn scenes: its cases, its judgement, its rows on disk, its statistics, and one small run."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.domain.catalogue import Model
from core.domain.errors import InputError
from core.evaluation.benchmark_scenes.contenders import MEASURED, TUNED, Contender, Kind, draw_cases, edit_spec
from core.evaluation.benchmark_scenes.rows import Row, RowFile
from core.evaluation.benchmark_scenes.runner import run_cases, setup
from core.evaluation.benchmark_scenes.sheet import draw_sheet
from core.evaluation.benchmark_scenes.summary import paired_interval, summarise
from core.evaluation.laboratory import Effort, Laboratory
from core.evaluation.scene_edits import SceneEdit
from core.pocket.judge import Judge
from core.pocket.render import render
from core.pocket.scenes import Attribute, Background, Colour, Scene, SceneObject, Shape, Size, Texture

RED_CIRCLE = Scene(Background.GRASS, (SceneObject(Shape.CIRCLE, Colour.RED, Texture.PLAIN, Size.LARGE),))
TO_BLUE = SceneEdit(RED_CIRCLE, Attribute.COLOUR, Colour.BLUE)
TO_SAND = SceneEdit(RED_CIRCLE, Attribute.BACKGROUND, Background.SAND)
TO_STAR = SceneEdit(RED_CIRCLE, Attribute.SHAPE, Shape.STAR)


def row(scene: int = 0, contender: Contender = Contender.STYLEDIFFUSION_P2PLUS, **changes: Any) -> Row:
    """A row that succeeded."""
    effort = Effort(seconds=1.0, forwards=2, backwards=3)
    whole = Row(
        scene=scene,
        kind=Kind.COLOUR,
        contender=contender,
        source_prompt="a red circle",
        target_prompt="a blue circle",
        reading={"count": 1},
        asked=True,
        kept=True,
        success=True,
        background_psnr=30.0,
        object_psnr=None,
        reconstruction_psnr=27.0,
        reconstruction_psnr_autoencoder=44.0,
        inversion=effort,
        edit=effort,
    )
    return whole.model_copy(update=changes)


def test_a_scene_is_the_same_however_many_are_drawn() -> None:
    assert draw_cases(3, seed=1) == draw_cases(3, seed=1)
    assert draw_cases(3, seed=1) != draw_cases(3, seed=2)
    assert draw_cases(3, seed=1, stream=MEASURED) != draw_cases(3, seed=1, stream=TUNED)


def test_every_scene_has_one_edit_of_each_kind_that_changes_it() -> None:
    cases = draw_cases(0, seed=0)

    assert [case.kind for case in cases] == list(Kind)
    assert all(case.edit.prompts[0] != case.edit.prompts[1] for case in cases)
    assert len({case.edit.scene for case in cases}) == 1


def test_the_methods_differ_by_nothing_but_what_they_are() -> None:
    p2plus, p2p, swap = (
        edit_spec(one, Kind.SHAPE).model_dump(exclude={"method"})
        for one in (Contender.STYLEDIFFUSION_P2PLUS, Contender.NULL_TEXT_P2P, Contender.DDIM_WORD_SWAP)
    )

    assert p2plus.pop("uncond_window") == 0.5
    assert p2plus == p2p
    assert swap.items() <= p2p.items()


def test_the_object_is_left_out_of_what_its_edit_must_keep() -> None:
    kept, mask = TO_BLUE.kept_region(), render(RED_CIRCLE).masks[0]

    assert not kept[mask > 0].any()
    assert kept[0, 0]


def test_the_new_shape_is_left_out_too() -> None:
    star = render(TO_STAR.target).masks[0]

    assert not TO_STAR.kept_region()[star > 0].any()


def test_an_edit_of_the_background_must_keep_the_inside_of_the_object() -> None:
    kept, mask = TO_SAND.kept_region(), render(RED_CIRCLE).masks[0]

    assert kept[32, 32]
    assert (mask[kept] == 1).all()


@pytest.mark.parametrize(
    ("shown", "asked", "kept"),
    [
        (TO_BLUE.target, True, True),
        (RED_CIRCLE, False, True),
        (replace(TO_BLUE.target, background=Background.SNOW), True, False),
    ],
)
def test_the_judge_reads_what_was_asked_and_what_was_kept(shown: Scene, *, asked: bool, kept: bool) -> None:
    verdict = TO_BLUE.judge(Judge.load(), render(shown).image)

    assert (verdict.asked, verdict.kept, verdict.success) == (asked, kept, asked and kept)


def test_rows_are_found_again(tmp_path: Path) -> None:
    RowFile(tmp_path, {"seed": 0}).add(row(), b"picture")

    again = RowFile(tmp_path, {"seed": 0})

    assert again.rows == [row()]
    assert again.picture(*row().key).read_bytes() == b"picture"


def test_a_line_that_was_cut_off_is_forgotten(tmp_path: Path) -> None:
    file = RowFile(tmp_path, {})
    file.add(row(0), b"")
    with (tmp_path / "rows.jsonl").open("a") as torn:
        torn.write('{"scene": 1, "ki')

    again = RowFile(tmp_path, {})
    again.add(row(1), b"")

    assert [one.scene for one in RowFile(tmp_path, {}).rows] == [0, 1]


def test_rows_of_another_setup_are_not_mixed(tmp_path: Path) -> None:
    RowFile(tmp_path, {"seed": 0})

    with pytest.raises(InputError, match="other settings or another model"):
        RowFile(tmp_path, {"seed": 1})


def test_the_interval_is_the_bootstraps_own() -> None:
    mean, low, high = paired_interval([[1.0], [0.0], [0.0], [1.0]] * 25)

    # The mean of 100 draws of a fair coin has standard deviation .05.
    assert mean == 0.5
    assert (low, high) == pytest.approx((0.402, 0.598), abs=0.02)


def test_edits_of_one_scene_are_drawn_together() -> None:
    alone = paired_interval([[float(one % 2)] for one in range(90)])
    together = paired_interval([[float(one % 2)] * 3 for one in range(30)])

    assert together[2] - together[1] > 1.5 * (alone[2] - alone[1])


def test_equal_differences_leave_no_doubt() -> None:
    assert paired_interval([[2.0], [2.0, 2.0]]) == (2.0, 2.0, 2.0)


def test_rates_are_told_for_all_scenes_and_for_the_possible_ones() -> None:
    rows = [row(0), row(1, success=False), row(0, Contender.GENERATION), row(1, Contender.GENERATION, success=False)]

    (ours, _) = summarise(rows).rates

    assert (ours.scenes, ours.success, ours.possible_scenes, ours.possible) == (2, 0.5, 1, 1.0)


def test_differences_are_ours_minus_theirs_on_the_same_scenes() -> None:
    rows = [row(0), row(1), row(0, Contender.DDIM_P2P, success=False, background_psnr=25.0)]

    differences = summarise(rows).differences

    found = {(one.measure, one.kind): (one.scenes, one.mean) for one in differences}
    assert found == {
        ("success", None): (1, 1.0),
        ("success", Kind.COLOUR): (1, 1.0),
        ("background_psnr", None): (1, 5.0),
        ("background_psnr", Kind.COLOUR): (1, 5.0),
    }


def test_an_inversion_counts_once_for_all_its_edits() -> None:
    rows = [row(0), row(0, kind=Kind.SHAPE), row(1, reconstruction_psnr_autoencoder=40.0)]

    (fidelity,) = summarise(rows).fidelities

    assert (fidelity.scenes, fidelity.psnr_autoencoder, fidelity.worst_psnr_autoencoder) == (2, 42.0, 40.0)


def test_a_run_fills_in_what_is_missing_and_no_more(tmp_path: Path, model: Model) -> None:
    quick = replace(model, defaults={"timesteps": 2, "guidance": 2.0, "inner_steps": 1})
    laboratory = Laboratory.open(quick, device="cpu")
    file = RowFile(tmp_path, setup(laboratory, seed=0))
    done: list[Row] = []
    run_cases(laboratory, file, scenes=1, seed=0, done=done.append)
    lines = (tmp_path / "rows.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "rows.jsonl").write_text("".join(lines[:-1]))

    again = RowFile(tmp_path, setup(laboratory, seed=0))
    run_cases(laboratory, again, scenes=1, seed=0, done=done.append)
    laboratory.engine.close()

    assert len(done) == len(Kind) * len(Contender) + 1
    assert {one.key for one in again.rows} == {one.key for one in file.rows}
    (repeated,) = [one for one in file.rows if one.key == done[-1].key]
    assert repeated.reading == done[-1].reading
    assert all(one.inversion is None for one in file.rows if one.contender is Contender.GENERATION)
    assert draw_sheet(again, scenes=1, seed=0).shape[1] > 1000
    assert json.dumps(summarise(again.rows).as_json())
    assert np.isfinite([one.reconstruction_psnr for one in again.rows if one.reconstruction_psnr is not None]).all()

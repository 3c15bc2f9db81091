"""Pictures of the caller's own, inverted and edited in this process by the packaged model."""

import json
from io import BytesIO
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from click.testing import CliRunner, Result

from core.domain.edit_parts import EditMethod
from core.images import read_image
from core.settings import Settings
from core.usecases.requests import EditRequest
from stylediffusion.cli import cli
from stylediffusion.local import LocalStudio
from stylediffusion.outcome import Outcome

FAST = ["--param", "timesteps=4", "--param", "inner_steps=1"]


def photo(mode: str, media: str, size: tuple[int, int] = (120, 80)) -> bytes:
    """A picture of one kind, never square, with something in it."""
    ramp = np.add.outer(np.arange(size[1]), np.arange(size[0]))
    picture = PIL.Image.fromarray((ramp * 257).astype(np.uint16) if mode == "I;16" else ramp.astype(np.uint8))
    buffer = BytesIO()
    (picture if mode == "I;16" else picture.convert(mode)).save(buffer, media)
    return buffer.getvalue()


def run(*arguments: str | Path) -> Result:
    """A command that must succeed."""
    result = CliRunner(env={"COLUMNS": "200"}).invoke(cli, [str(one) for one in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result


@pytest.fixture(scope="module")
def studio() -> LocalStudio:
    """The packaged model."""
    return LocalStudio(Settings())


def invert(studio: LocalStudio, data: bytes, fit: str = "crop") -> Outcome:
    """A quick inversion."""
    return studio.invert(
        data,
        "a red circle on grass",
        method="ddim",
        parameters={"timesteps": 2},
        fit=fit,
        seed=0,
        on_progress=lambda _: None,
    )


def test_a_photo_is_inverted_and_edited_without_a_service(tmp_path: Path) -> None:
    file, out = tmp_path / "photo.jpg", tmp_path / "out"
    file.write_bytes(photo("RGB", "JPEG"))

    inverted = run("invert", file, "--prompt", "a red circle on grass", *FAST, "--fit", "pad", "--local", "--out", out)
    edited = run("edit", out, "--target", "a blue circle on grass", "--local")
    several = run("edit", out, "--target", "a star", "--method", "sdedit", "--count", "2", "--local")

    left = {path.name for path in out.iterdir()}
    result = json.loads((out / "a-blue-circle-on-grass" / "result.json").read_text())
    assert {"source.png", "reconstruction.png", "attention.png", "inversion.safetensors", "result.json"} <= left
    assert "photographs are outside its world" in inverted.output
    assert "psnr" in inverted.output
    assert (result["result"]["width"], result["result"]["height"]) == (120, 80)
    assert "image.png, mask.png lie in" in edited.output
    assert "image.png, mask.png, image_2.png, mask_2.png lie in" in several.output


def test_an_edit_leaves_every_pixel_outside_its_region(studio: LocalStudio, tmp_path: Path) -> None:
    inversion = invert(studio, photo("RGB", "PNG"))
    for name, data in inversion.files.items():
        (tmp_path / name).write_bytes(data)

    request = EditRequest(
        inversion=str(tmp_path / "inversion.safetensors"),
        target_prompt="a blue circle on grass",
        method=EditMethod.WORD_SWAP,
    )
    edit = studio.edit(request, on_progress=lambda _: None)

    before, after = read_image(inversion.files["source.png"]), read_image(edit.files["image.png"])
    assert after.shape == (80, 120, 3)
    # The square shows the middle 80 columns.
    assert np.array_equal(before[:, :20], after[:, :20])
    assert np.array_equal(before[:, 100:], after[:, 100:])


@pytest.mark.parametrize("fit", ["crop", "pad"])
@pytest.mark.parametrize(
    ("mode", "media"), [("L", "JPEG"), ("CMYK", "JPEG"), ("RGBA", "WEBP"), ("LA", "PNG"), ("I;16", "PNG"), ("P", "PNG")]
)
def test_pictures_of_every_kind_are_inverted(studio: LocalStudio, mode: str, media: str, fit: str) -> None:
    outcome = invert(studio, photo(mode, media), fit)

    assert read_image(outcome.files["reconstruction.png"]).shape == (64, 64, 3)
    assert read_image(outcome.files["source.png"]).shape == (80, 120, 3)


def test_a_folder_without_an_inversion_is_refused(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["edit", str(tmp_path), "--target", "a blue circle", "--local"])

    assert "is a folder that `invert --local` wrote" in str(result.exception)

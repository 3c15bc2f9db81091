"""Inversions that are held unpacked."""

import pytest

from core.diffusion.inversion.artifact import Header, pack_inversion
from core.diffusion.inversion.inversion import Inversion
from core.diffusion.inversion.shelf import Shelf
from core.domain.inversion_specs import StyleDiffusionSpec
from core.domain.specs import Fit


@pytest.fixture
def files(inversion: Inversion) -> list[bytes]:
    """The same inversion under three sentences."""
    spec = StyleDiffusionSpec(timesteps=4, guidance=3.0, inner_steps=2)
    return [
        pack_inversion(inversion, Header(prompt=prompt, spec=spec, fit=Fit.CROP, model="tiny", revision="0"))
        for prompt in ("a", "a b", "a b c")
    ]


def test_a_file_asked_for_again_is_the_same_inversion(files: list[bytes]) -> None:
    shelf = Shelf(device="cpu")

    first, header = shelf.unpack(files[0])

    assert shelf.unpack(bytes(files[0]))[0] is first
    assert header.prompt == "a"


def test_files_that_differ_are_kept_apart(files: list[bytes]) -> None:
    shelf = Shelf(device="cpu")

    assert [shelf.unpack(file)[1].prompt for file in files] == ["a", "a b", "a b c"]


def test_what_was_not_asked_for_longest_goes_first(files: list[bytes]) -> None:
    shelf = Shelf(device="cpu", max_bytes=2 * len(files[2]))
    first, second = (shelf.unpack(file)[0] for file in files[:2])
    shelf.unpack(files[0])
    shelf.unpack(files[2])

    assert shelf.unpack(files[0])[0] is first
    assert shelf.unpack(files[1])[0] is not second


def test_one_larger_than_the_shelf_is_still_unpacked(files: list[bytes]) -> None:
    assert Shelf(device="cpu", max_bytes=1).unpack(files[0])[1].prompt == "a"

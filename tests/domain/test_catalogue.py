"""A model is described from its folder alone."""

import json
import shutil
from pathlib import Path

import pytest

from core.domain.catalogue import CARD, read_model
from core.pocket.weights import model_path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    copy = tmp_path / "model"
    shutil.copytree(model_path(), copy)
    (copy / CARD).unlink(missing_ok=True)
    return copy


def test_sizes_come_from_the_networks_configurations(folder: Path) -> None:
    model = read_model(folder, name="mine")

    assert (model.name, model.resolution_pixels, model.max_tokens) == ("mine", 64, 30)
    assert (model.defaults, model.known_words) == ({}, None)


def test_the_card_tells_what_the_layout_has_no_place_for(folder: Path) -> None:
    card = {"name": "cards", "revision": "7", "defaults": {"guidance": 5.0}, "known_words": ["red", "circle"]}
    (folder / CARD).write_text(json.dumps(card))

    model = read_model(folder, name="mine")

    assert (model.name, model.revision, model.defaults) == ("cards", "7", {"guidance": 5.0})
    assert model.unknown_words("A red Zebra, circle zebra.") == ("a", "zebra")


def test_the_revision_changes_with_any_file(folder: Path) -> None:
    before = read_model(folder, name="mine").revision
    weights = folder / "vae" / "diffusion_pytorch_model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)

    assert read_model(folder, name="mine").revision != before


def test_the_revision_does_not_depend_on_where_the_folder_is(folder: Path, tmp_path: Path) -> None:
    before = read_model(folder, name="mine").revision
    moved = folder.rename(tmp_path / "elsewhere")

    assert read_model(moved, name="mine").revision == before


def test_a_hub_snapshot_is_known_by_its_commit(folder: Path, tmp_path: Path) -> None:
    snapshot = tmp_path / "snapshots" / "0123abcd"
    shutil.copytree(folder, snapshot)

    assert read_model(snapshot, name="org/name").revision == "0123abcd"

"""A public generator makes a client of the document, and the client does the main work."""

import importlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from core.settings import Settings
from core.usecases.keys import make_key
from core.wiring import build_database
from tests.service.harness import png

# What the generator has to be told: it knows no pictures and no lines of JSON.
OPTIONS = {
    "post_hooks": [],
    "content_type_overrides": dict.fromkeys(
        ("image/png", "application/jsonl", "application/x-ndjson"), "application/octet-stream"
    ),
}


@pytest.fixture(scope="module")
def generated(deployment: tuple[str, Settings], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a package `editing`, generated from the document that the service publishes."""
    folder = tmp_path_factory.mktemp("generated")
    document, options = folder / "openapi.json", folder / "options.json"
    document.write_bytes(httpx.get(f"{deployment[0]}/openapi.json").content)
    options.write_text(json.dumps(OPTIONS))
    paths = ["--path", str(document), "--config", str(options), "--output-path", str(folder / "editing")]
    made = subprocess.run(
        [sys.executable, "-m", "openapi_python_client", "generate", "--meta", "none", *paths],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "WARNING" not in made.stdout + made.stderr, made.stdout
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        yield folder


@pytest.fixture(scope="module")
def editing(generated: Path, deployment: tuple[str, Settings]) -> Iterator[Any]:
    """The client of a new tenant, and all of the package by name."""
    database = build_database(deployment[1])
    _, key = make_key(database, "generated", name="")
    database.close()
    api = {
        name: importlib.import_module(f"editing.api.{name}")
        for name in (
            "images.images_create_image",
            "inversions.inversions_create_inversion",
            "edits.edits_create_edit",
            "edits.edits_read",
            "edits.edits_artifact",
            "batches.batches_create_batch",
            "batches.batches_read",
            "batches.batches_results",
        )
    }
    calls = {name.partition(".")[2]: module for name, module in api.items()}
    package = importlib.import_module("editing")
    client = package.AuthenticatedClient(base_url=deployment[0], token=key, raise_on_unexpected_status=True)
    with client:
        yield SimpleNamespace(client=client, models=importlib.import_module("editing.models"), **calls)


def _image(editing: Any) -> Any:
    types = importlib.import_module("editing.types")
    file = types.File(payload=BytesIO(png()), file_name="red.png", mime_type="image/png")
    body = editing.models.ImagesCreateImageFilesBody(image=file)
    kept = editing.images_create_image.sync(client=editing.client, body=body)
    return editing.models.ImageInput(id=kept.id)


def test_it_inverts_edits_and_reads_the_picture(editing: Any) -> None:
    models, client = editing.models, editing.client
    parameters = models.CreateInversionParameters.from_dict({"timesteps": 2})
    inversion = editing.inversions_create_inversion.sync(
        client=client,
        body=models.CreateInversion(
            image=_image(editing), source_prompt="a red circle on grass", parameters=parameters
        ),
    )
    edit = editing.edits_create_edit.sync(
        client=client, body=models.CreateEdit(inversion_id=inversion.id, target_prompt="a blue circle on grass")
    )
    done = editing.edits_read.sync(edit.id, client=client, wait=60)
    picture = editing.edits_artifact.sync_detailed(done.id, "image", client=client)

    assert (inversion.state, done.state) == ("queued", "succeeded")
    assert done.result["quality"] == {"psnr": 40.0}
    assert (picture.status_code, len(picture.content)) == (200, 64)


def test_it_runs_a_batch(editing: Any) -> None:
    models, client = editing.models, editing.client
    defaults = models.BatchDefaults(
        image=_image(editing),
        source_prompt="a red circle on grass",
        target_prompt_template="a {colour} circle on grass",
        inversion=models.InversionChoice(parameters=models.InversionChoiceParameters.from_dict({"timesteps": 2})),
    )
    items = [
        models.BatchItem(custom_id=colour, values=models.BatchItemValues.from_dict({"colour": colour}))
        for colour in ("blue", "green")
    ]
    batch = editing.batches_create_batch.sync(client=client, body=models.CreateBatch(defaults=defaults, items=items))
    while batch.state != "ended":
        time.sleep(0.1)
        batch = editing.batches_read.sync(batch.id, client=client)
    lines = editing.batches_results.sync(batch.id, client=client)

    assert batch.request_counts.succeeded == 2
    assert {json.loads(line)["custom_id"] for line in lines.splitlines()} == {"blue", "green"}


def test_it_reads_a_problem(editing: Any) -> None:
    refused = editing.edits_read.sync("edt_unknown", client=editing.client)

    assert (refused.status, refused.code) == (404, "NOT_FOUND")

"""An operator's check and mark stand between an edit and its caller; without them nothing does."""

from dataclasses import replace
from io import BytesIO
from xml.etree import ElementTree as ET

import numpy as np
import PIL.Image
import pytest

from core.domain.errors import Unavailable
from core.domain.job import Job, JobState
from core.domain.publishing import Publishing
from core.provenance import mark
from core.settings import Settings
from core.wiring import build_publishing
from tests.stack.fakes import load
from tests.stack.submitting import Caller, png
from worker.tools import Tools
from worker.working import work

RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"


def edited(tools: Tools, caller: Caller, publishing: Publishing) -> Job:
    """An edit that has ended."""
    inversion = caller.invert()
    work(tools)
    edit = caller.edit(inversion.id)
    work(replace(tools, publishing=publishing))
    return load(tools.database, edit)


def stored(tools: Tools, job: Job) -> dict[str, bytes]:
    """Its files."""
    return {artifact.name: tools.store.get(artifact.key) for artifact in job.artifacts}


def test_a_refused_picture_is_stored_nowhere_and_its_caller_told_why(tools: Tools, caller: Caller) -> None:
    seen: list[bytes] = []

    def refuse(picture: bytes) -> str:
        seen.append(picture)
        return "This picture is not given out here."

    job = edited(tools, caller, Publishing(check=refuse))

    assert job.error is not None
    assert (job.state, job.error.code, job.error.retryable) == (JobState.FAILED, "CONTENT_REFUSED", False)
    assert (job.error.detail, len(seen)) == ("This picture is not given out here.", 1)
    assert list(tools.store.list(job.folder)) == []


def test_a_check_that_breaks_lets_nothing_pass(tools: Tools, caller: Caller) -> None:
    def broken(_: bytes) -> str:
        raise RuntimeError("no model")

    job = edited(tools, caller, Publishing(check=broken))

    assert job.error is not None
    assert (job.state, job.error.code, job.artifacts) == (JobState.FAILED, "INTERNAL", ())


def test_a_picture_that_passes_is_marked_and_nothing_else_is(tools: Tools, caller: Caller) -> None:
    def sign(png: bytes, *, job_id: str) -> bytes:
        return png + job_id.encode()

    job = edited(tools, caller, Publishing(check=lambda _: None, mark=sign))

    files = stored(tools, job)
    assert files["image"] == files["mask"] + job.id.encode()  # the fake's files are alike
    assert job.artifacts[0].bytes == len(files["image"])


def test_the_mark_is_read_by_others_and_leaves_every_pixel() -> None:
    plain = png()
    marked = mark(plain, job_id="edt_1")

    with PIL.Image.open(BytesIO(plain)) as before, PIL.Image.open(BytesIO(marked)) as after:
        assert np.array_equal(np.asarray(before), np.asarray(after))
        (description,) = ET.fromstring(after.info["XML:com.adobe.xmp"]).iter(f"{RDF}Description")
    said = {name.rpartition("}")[2]: value for name, value in description.items()}
    assert said["DigitalSourceType"].endswith("/digitalsourcetype/compositeWithTrainedAlgorithmicMedia")
    assert said["identifier"] == "edt_1"


def test_settings_name_both_and_nothing_is_the_default() -> None:
    assert build_publishing(Settings()) == Publishing()
    assert build_publishing(Settings(provenance_mark="core.provenance:mark")).mark is mark


@pytest.mark.parametrize("name", ["nowhere:check", "core.provenance:nothing", "core.provenance:_XMP", "no name"])
def test_a_name_that_leads_nowhere_stops_the_worker(name: str) -> None:
    with pytest.raises(Unavailable, match="CONTENT_CHECK="):
        build_publishing(Settings(content_check=name))

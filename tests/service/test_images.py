"""Images come in by form or JSON, once per tenant; whatever is not an image is refused and harms nothing."""

import struct
import zlib
from base64 import b64encode
from hashlib import sha256
from io import BytesIO
from typing import Any

import PIL.Image
import pytest

from core.domain.ids import IdPrefix
from tests.service.harness import Harness, png, problem, unknown_id


def _huge_header() -> bytes:
    body = b"IHDR" + struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))


def _animated_webp() -> bytes:
    buffer = BytesIO()
    frames = [PIL.Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    frames[0].save(buffer, "WEBP", save_all=True, append_images=frames[1:])
    return buffer.getvalue()


HOSTILE = {
    "not an image": (b"GIF89a no, not really", "IMAGE_UNREADABLE"),
    "a header of 60,000 x 60,000": (_huge_header(), "IMAGE_TOO_LARGE"),
    "an animation": (_animated_webp(), "IMAGE_UNREADABLE"),
    "nothing": (b"", "IMAGE_UNREADABLE"),
    "half a file": (png()[:60], "IMAGE_UNREADABLE"),
}


def test_an_image_is_kept_from_a_form(service: Harness) -> None:
    answer = service.client.post("/images", files={"image": png()})

    assert answer.status_code == 201
    assert answer.json()["width"] == 40
    assert answer.json()["height"] == 30
    assert answer.json()["sha256"] == sha256(png()).hexdigest()
    assert service.client.get(f"/images/{answer.json()['id']}").json() == answer.json()


def test_the_same_bytes_give_the_same_id(service: Harness) -> None:
    as_json = service.client.post("/images", json={"base64": b64encode(png()).decode()})

    assert as_json.status_code == 201
    assert as_json.json()["id"] == service.image()
    assert service.image("blue") != service.image("red")


def test_an_unknown_image_is_not_found(service: Harness) -> None:
    for image_id in (unknown_id(IdPrefix.IMAGE), "img_x", ".x", "%00"):
        assert problem(service.client.get(f"/images/{image_id}")) == (404, "NOT_FOUND")


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_bytes_are_refused_and_the_service_lives(service: Harness, name: str) -> None:
    data, code = HOSTILE[name]
    form: dict[str, Any] = {"files": {"image": data}}
    in_json = {"image": {"base64": b64encode(data).decode()}, "source_prompt": "a red circle"}

    assert problem(service.client.post("/images", **form)) == (422, code)
    assert problem(service.client.post("/inversions", json=in_json)) == (422, code)
    assert problem(service.client.post("/inversions", data={"source_prompt": "a circle"}, **form)) == (422, code)
    assert service.image()


def test_numbers_in_a_detail_are_fields_too(service: Harness) -> None:
    document = service.client.post("/images", files={"image": _huge_header()}).json()

    assert str(document["max_pixels"]) in document["detail"]
    assert str(document["max_side"]) in document["detail"]


def test_text_that_is_not_base64_is_refused(service: Harness) -> None:
    answer = service.client.post("/images", json={"base64": "not base64!"})

    assert problem(answer) == (422, "VALIDATION")
    assert answer.json()["errors"] == [{"pointer": "/base64", "detail": "must be base64 (RFC 4648, with padding)"}]


def test_a_kept_picture_is_given_back_upright(anywhere: Harness) -> None:
    turned = BytesIO()
    exif = PIL.Image.Exif()
    exif[0x0112] = 6  # turn it to the right
    PIL.Image.new("RGB", (40, 30), "red").save(turned, "PNG", exif=exif)
    image = anywhere.client.post("/images", files={"image": turned.getvalue()}).json()["id"]
    answer = anywhere.client.get(f"/images/{image}/content")
    again = anywhere.client.get(f"/images/{image}/content", headers={"If-None-Match": answer.headers["etag"]})

    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
    assert PIL.Image.open(BytesIO(answer.content)).size == (30, 40)
    assert (again.status_code, again.content) == (304, b"")

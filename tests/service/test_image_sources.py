"""Images also come by URL, where the tenant may name one, and by an upload to the object store."""

from base64 import b64encode
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import update

from core.domain.errors import NotFound
from core.images import MAX_BYTES
from core.settings import Settings
from core.storage.database import SqlDatabase
from core.storage.tenant_tables import uploads
from core.usecases.sweep import sweep
from tests.servers.site import Page, Site, site
from tests.service.harness import Harness, png, problem

HOST = "127.0.0.2"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """May fetch from the machine's own addresses without TLS."""
    return Settings(data_dir=tmp_path, outbound_http=True, outbound_networks=f"{HOST}/32", outbound_seconds=2)


@pytest.fixture
def pictures() -> Iterator[Site]:
    """A site with a picture."""
    with site(HOST) as served:
        served.pages["/red.png"] = Page(body=png("red"))
        yield served


@pytest.fixture
def fetching(service: Harness) -> Harness:
    """The service, of a tenant that may name URLs."""
    service.may(fetch_urls=True)
    return service


def test_a_url_needs_the_operators_leave(service: Harness, pictures: Site) -> None:
    answer = service.client.post("/images", json={"url": pictures.url("/red.png")})

    assert problem(answer) == (422, "URL_BLOCKED")
    assert pictures.connections == 0


def test_an_image_is_fetched_once_and_kept(fetching: Harness, pictures: Site) -> None:
    url = pictures.url("/red.png")
    image = fetching.client.post("/images", json={"url": url})
    assert image.json()["id"] == fetching.image("red")

    job = fetching.invert(image={"url": url})
    edit = {"image": {"url": url}, "source_prompt": "a red circle", "target_prompt": "a blue circle"}
    assert fetching.edit(**edit)["inputs"]["image_id"] == job["inputs"]["image_id"] == image.json()["id"]


def test_a_request_that_is_sent_again_fetches_nothing(fetching: Harness, pictures: Site) -> None:
    body = {"image": {"url": pictures.url("/red.png")}, "source_prompt": "a red circle"}
    headers = {"Idempotency-Key": "one"}
    first = fetching.client.post("/inversions", json=body, headers=headers)
    pictures.pages.clear()
    again = fetching.client.post("/inversions", json=body, headers=headers)

    assert again.status_code == 202
    assert again.json()["id"] == first.json()["id"]
    assert len(pictures.asked) == 1


def test_what_a_url_leads_to_is_judged(fetching: Harness, pictures: Site) -> None:
    pictures.pages["/text"] = Page(body=b"hello")
    pictures.pages["/large"] = Page(body=b"", headers={"Content-Length": str(MAX_BYTES + 1)})
    pictures.pages["/inside"] = Page(status=302, headers={"Location": "http://127.0.0.1:1/"})
    urls = {
        pictures.url("/text"): "IMAGE_UNREADABLE",
        pictures.url("/none"): "INPUT_FETCH_FAILED",
        pictures.url("/large"): "INPUT_FETCH_FAILED",
        pictures.url("/inside"): "URL_BLOCKED",
        "http://localhost:1/": "URL_BLOCKED",
        "file:///etc/passwd": "URL_BLOCKED",
        "https://nowhere.invalid/": "INPUT_FETCH_FAILED",
    }

    answers = {url: problem(fetching.client.post("/images", json={"url": url})) for url in urls}
    assert answers == {url: (422, code) for url, code in urls.items()}


@pytest.mark.parametrize("given", [{}, {"url": "https://x.test/", "base64": ""}, {"upload_id": "x", "url": ""}])
def test_an_image_comes_from_one_place(service: Harness, given: dict[str, str]) -> None:
    assert problem(service.client.post("/images", json=given)) == (422, "VALIDATION")


def allowed(service: Harness, media_type: str = "image/png") -> dict[str, Any]:
    answer = service.client.post("/uploads", json={"media_type": media_type})
    assert answer.status_code == 201, answer.text
    upload: dict[str, Any] = answer.json()
    return upload


def send(service: Harness, upload: dict[str, Any], data: bytes, **fields: str) -> int:
    """As any client does: to the store's own address without a key, or to the service with one."""
    form: dict[str, Any] = {"data": {**upload["fields"], **fields}, "files": {"file": data}}
    if upload["url"].startswith("/"):
        return service.client.post(upload["url"], **form).status_code
    return httpx2.post(upload["url"], **form).status_code


def test_a_file_is_uploaded_and_used(anywhere: Harness) -> None:
    upload = allowed(anywhere)
    assert problem(anywhere.client.post("/images", json={"upload_id": upload["id"]})) == (404, "NOT_FOUND")

    assert send(anywhere, upload, png("red")) == 204
    image = anywhere.client.post("/images", json={"upload_id": upload["id"]})
    assert image.status_code == 201
    assert anywhere.invert(image={"upload_id": upload["id"]})["inputs"]["image_id"] == image.json()["id"]


def test_a_form_allows_one_type_one_size_and_one_place(anywhere: Harness) -> None:
    upload = allowed(anywhere)
    refused = [
        send(anywhere, upload, png(), **{"Content-Type": "text/html"}),
        send(anywhere, upload, b""),
        send(anywhere, upload, bytes(MAX_BYTES + 1)),
    ]
    if "key" in upload["fields"]:
        refused.append(send(anywhere, upload, png(), key="other/uploads/upl_x"))

    assert all(400 <= status < 500 for status in refused)
    assert list(anywhere.ports.store.list("acme/uploads/")) == []
    assert list(anywhere.ports.store.list("other/")) == []


def test_a_faulty_form_is_refused(service: Harness) -> None:
    path = allowed(service)["url"]
    fields = {"Content-Type": "image/png"}

    assert problem(service.client.post(path, json={})) == (415, "MEDIA_TYPE")
    assert problem(service.client.post(path, data=fields, files={"image": png()})) == (422, "VALIDATION")
    assert problem(service.client.post(path, files={"file": png()})) == (422, "VALIDATION")
    assert problem(service.client.post("/uploads", json={"media_type": "text/html"})) == (422, "VALIDATION")


def test_an_upload_dies_of_age(anywhere: Harness) -> None:
    upload = allowed(anywhere)
    send(anywhere, upload, png())
    (key,) = anywhere.ports.store.list("acme/uploads/")
    database = anywhere.ports.database
    assert isinstance(database, SqlDatabase)
    with database.begin() as uow:
        past = uow.now() - timedelta(seconds=1)
    with database.engine.begin() as connection:
        connection.execute(update(uploads).values(expires_at=past))

    assert problem(anywhere.client.post("/images", json={"upload_id": upload["id"]})) == (404, "NOT_FOUND")
    sweep(database, anywhere.ports.store, anywhere.ports.wakeups)
    with pytest.raises(NotFound):
        anywhere.ports.store.get(key)


def test_text_in_base64_still_comes_as_it_did(service: Harness) -> None:
    assert service.client.post("/images", json={"base64": b64encode(png()).decode()}).status_code == 201

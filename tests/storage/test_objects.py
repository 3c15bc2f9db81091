"""A folder and a bucket keep the same promises."""

import urllib.request
from pathlib import Path

import pytest

from core.domain.errors import NotFound, Unavailable
from core.domain.ports import ObjectStore
from core.storage.objects_folder import FolderStore
from core.storage.objects_s3 import S3Store
from tests.servers.s3 import Bucket


def test_an_object_comes_back_as_it_was_put(store: ObjectStore) -> None:
    data = bytes(range(256)) * 5000

    store.put("acme/jobs/inv_1/1/inversion.safetensors", data, media_type="application/octet-stream")

    assert store.get("acme/jobs/inv_1/1/inversion.safetensors") == data


def test_a_later_object_replaces_an_earlier_one(store: ObjectStore) -> None:
    store.put("acme/a", b"first", media_type="text/plain")
    store.put("acme/a", b"second", media_type="text/plain")

    assert store.get("acme/a") == b"second"


def test_a_missing_object_is_not_found(store: ObjectStore) -> None:
    with pytest.raises(NotFound):
        store.get("acme/none")


def test_a_deleted_object_is_gone_and_may_be_deleted_again(store: ObjectStore) -> None:
    store.put("acme/a", b"x", media_type="text/plain")

    store.delete("acme/a")
    store.delete("acme/a")

    with pytest.raises(NotFound):
        store.get("acme/a")


def test_a_listing_gives_the_keys_of_a_prefix(store: ObjectStore) -> None:
    for key in ("acme/jobs/1/a", "acme/jobs/1/b", "acme/jobs/2/a", "other/jobs/1/a"):
        store.put(key, b"x", media_type="text/plain")

    assert sorted(store.list("acme/jobs/1/")) == ["acme/jobs/1/a", "acme/jobs/1/b"]


def test_a_store_that_is_there_answers(store: ObjectStore) -> None:
    store.ping()


@pytest.mark.parametrize("key", ["../x", "a/../../x", "/etc/x", "a//b", "", "a/.hidden", "a\\..\\b", "a/\0", "a/b/"])
def test_a_key_never_leads_out_of_the_folder(folder_store: FolderStore, tmp_path: Path, key: str) -> None:
    with pytest.raises(ValueError, match="not an object key"):
        folder_store.put(key, b"x", media_type="text/plain")

    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_write_that_fails_leaves_nothing_behind(folder_store: FolderStore, tmp_path: Path) -> None:
    folder_store.put("acme/a/b", b"x", media_type="text/plain")

    with pytest.raises(Unavailable):
        folder_store.put("acme/a", b"y", media_type="text/plain")

    assert list(folder_store.list("")) == ["acme/a/b"]
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["b"]


def test_a_presigned_address_gives_the_object_to_anyone(s3: Bucket) -> None:
    store = S3Store(
        s3.name, endpoint_url=s3.endpoint, region=s3.region, access_key_id=s3.access_key, secret=s3.secret_key
    )
    store.put("acme/a", b"picture", media_type="image/png")

    url = store.presign("acme/a", expires_seconds=60, filename="edit.png")

    assert url is not None
    with urllib.request.urlopen(url) as answer:
        assert answer.read() == b"picture"
        assert answer.headers["Content-Type"] == "image/png"
        assert 'filename="edit.png"' in answer.headers["Content-Disposition"]


def test_a_server_that_is_gone_is_unavailable() -> None:
    store = S3Store("none", endpoint_url="http://127.0.0.1:1", region="us-east-1", access_key_id="a", secret="b")

    with pytest.raises(Unavailable):
        store.ping()


def test_a_store_without_its_bucket_is_not_there(s3: Bucket) -> None:
    store = S3Store(
        "no-such-bucket", endpoint_url=s3.endpoint, region=s3.region, access_key_id=s3.access_key, secret=s3.secret_key
    )

    with pytest.raises(Unavailable, match="no bucket"):
        store.ping()

"""What the settings promise."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from core.domain.errors import Unavailable
from core.settings import Settings
from core.storage.objects_folder import FolderStore
from core.storage.objects_s3 import S3Store
from core.wiring import build_model, build_store, locate_model


def test_with_nothing_set_the_service_is_embedded(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)

    assert settings.embedded
    assert settings.database == f"sqlite:///{tmp_path}/stylediffusion.db"
    assert isinstance(build_store(settings), FolderStore)


def test_a_bucket_is_used_where_one_is_named() -> None:
    assert isinstance(build_store(Settings(s3_bucket="bucket")), S3Store)


def test_every_setting_says_what_it_is() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_the_environment_sets_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLOTS", "7")
    monkeypatch.setenv("S3_BUCKET", "bucket")

    assert (Settings().slots, Settings().s3_bucket) == (7, "bucket")


def test_a_secret_is_not_printed() -> None:
    assert "hidden" not in repr(Settings.model_validate({"s3_secret_access_key": "hidden"}))


def test_a_heartbeat_slower_than_the_lease_is_refused() -> None:
    with pytest.raises(ValidationError, match="three times HEARTBEAT_SECONDS"):
        Settings(lease_seconds=5, heartbeat_seconds=2)


def test_the_packaged_model_is_described_without_its_weights() -> None:
    model = build_model(Settings())

    assert (model.name, model.resolution_pixels, model.max_tokens) == ("pocket", 64, 30)
    assert len(model.revision) > 0


def test_a_model_that_is_nowhere_is_refused() -> None:
    with pytest.raises(Unavailable, match="no such folder"):
        locate_model("no such folder")

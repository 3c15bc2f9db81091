"""Where the commands of this machine find a service, and a key that goes to no other."""

from pathlib import Path

import pytest

from core.domain.errors import InputError
from stylediffusion.connection import find_connection, save_address, save_key

HERE = "http://127.0.0.1:8000"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of a service that has been up."""
    save_address(tmp_path, HERE)
    save_key(tmp_path, "sk_mine")
    return tmp_path


def test_the_service_of_the_folder_is_found(folder: Path) -> None:
    assert find_connection(folder, url=None, key=None) == (HERE, "sk_mine")


def test_what_is_given_stands_first(folder: Path) -> None:
    assert find_connection(folder, url="https://there", key="sk_other") == ("https://there", "sk_other")


def test_the_key_of_the_folder_goes_to_no_other_service(folder: Path) -> None:
    with pytest.raises(InputError, match="STYLEDIFFUSION_KEY"):
        find_connection(folder, url="https://there", key=None)


def test_without_a_service_the_way_to_one_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="stylediffusion up"):
        find_connection(tmp_path, url=None, key=None)


def test_a_key_is_readable_by_its_owner_alone(folder: Path) -> None:
    assert (folder / "api-key").stat().st_mode & 0o777 == 0o600

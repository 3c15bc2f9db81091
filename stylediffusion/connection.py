"""How the commands of this machine find its embedded service: address and key, as files in the data folder."""

import os
from pathlib import Path
from typing import Final

from core.domain.errors import ErrorCode, InputError

KEY_FILE: Final = "api-key"  # readable by its owner alone
_ADDRESS_FILE: Final = "address"


def save_key(folder: Path, key: str) -> None:
    """Keeps the key for the commands of this machine and this user."""
    path = folder / KEY_FILE
    path.unlink(missing_ok=True)
    # The mode is given at once: a file that is narrowed later could be read before.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(key + "\n")


def save_address(folder: Path, url: str) -> None:
    """Keeps where the service listens."""
    (folder / _ADDRESS_FILE).write_text(url + "\n")


def find_connection(folder: Path, *, url: str | None, key: str | None) -> tuple[str, str]:
    """Address and key: as given, else those of the embedded service in this folder.

    Raises:
        InputError: one of the two is not to be found.
    """
    address = _read(folder / _ADDRESS_FILE)
    found_url = url or address
    # A key is never sent to another service than its own.
    found_key = key or (_read(folder / KEY_FILE) if found_url == address else None)
    if found_url is None or found_key is None:
        missing = "STYLEDIFFUSION_URL (--url)" if found_url is None else "STYLEDIFFUSION_KEY (--key)"
        raise InputError(
            ErrorCode.VALIDATION,
            f"No service is known from the folder {folder}: start one with `stylediffusion up`, set {missing}, or "
            "work without a service by --local.",
        )
    return found_url, found_key


def _read(path: Path) -> str | None:
    return path.read_text().strip() if path.is_file() else None

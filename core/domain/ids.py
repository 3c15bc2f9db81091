"""Identifiers: a prefix that names the thing, and a UUIDv7, so that ids sort by the moment they were made."""

from base64 import b32hexencode
from enum import StrEnum

import uuid_utils

from core.domain.job import JobKind


class IdPrefix(StrEnum):
    """What an id names."""

    IMAGE = "img"
    INVERSION = "inv"
    EDIT = "edt"
    BATCH = "bat"
    KEY = "key"
    UPLOAD = "upl"
    ENDPOINT = "whe"
    DELIVERY = "msg"
    WORKER = "wrk"


def new_id(prefix: IdPrefix) -> str:
    """E.g. `inv_06g8…`: the prefix and 26 lower-case characters."""
    # The "hex" alphabet of base32 keeps the order of the bytes.
    text = b32hexencode(uuid_utils.uuid7().bytes).decode().rstrip("=").lower()
    return f"{prefix}_{text}"


def new_job_id(kind: JobKind) -> str:
    """A new id for a job of this kind."""
    return new_id(IdPrefix.INVERSION if kind is JobKind.INVERSION else IdPrefix.EDIT)

"""Page tokens: opaque, bound to the listing they came from, and without authority."""

import base64
import binascii
import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import TypeAlias

from core.domain.access import ApiKey
from core.domain.batch import Batch, BatchFilter
from core.domain.errors import AppError, ErrorCode
from core.domain.job import Job
from core.domain.ports import JobFilter
from core.domain.tenants import KeyFilter
from core.domain.webhooks import Delivery, DeliveryFilter
from service.dependencies import is_listed_id

Query: TypeAlias = JobFilter | BatchFilter | DeliveryFilter | KeyFilter
Row: TypeAlias = Job | Batch | Delivery | ApiKey


def token_after(last: Row, query: Query) -> str:
    """The token of the page that follows this row."""
    content = json.dumps([last.created_at.isoformat(), last.id, _digest(query)])
    return base64.urlsafe_b64encode(content.encode()).decode().rstrip("=")


def place_of(token: str, query: Query) -> tuple[datetime, str]:
    """Where the page begins: (created_at, id) of the last row of the page before.

    Raises:
        AppError: INVALID_PAGE_TOKEN: not a token of ours, or one of another listing.
    """
    try:
        content = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        moment, job_id, digest = json.loads(content)
        place = datetime.fromisoformat(moment).astimezone(UTC), str(job_id)
    except (binascii.Error, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise _refused() from error
    if digest != _digest(query) or not is_listed_id(place[1]):
        raise _refused()
    return place


def token_after_name(name: str) -> str:
    """The token of the page that follows this name in a list by name."""
    return base64.urlsafe_b64encode(name.encode()).decode().rstrip("=")


def name_of(token: str) -> str:
    """The name that the page comes after.

    Raises:
        AppError: INVALID_PAGE_TOKEN.
    """
    try:
        name = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode()
    except (binascii.Error, ValueError) as error:
        raise _refused() from error
    if not name or "\x00" in name:
        raise _refused()
    return name


def _digest(query: Query) -> str:
    # The page's size may change from page to page; everything else makes another listing.
    same = repr(replace(query, after=None, limit=0))
    return hashlib.sha256(same.encode()).hexdigest()[:16]


def _refused() -> AppError:
    return AppError(ErrorCode.INVALID_PAGE_TOKEN, "The page_token is not one of this listing; begin again without it.")

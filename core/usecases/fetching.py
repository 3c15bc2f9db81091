"""Images that items of batches name by URL: fetched before the items become jobs, with no transaction open.

Whoever fetches may be killed, and two may fetch the same: an image is kept once, and an item prepared once.
"""

from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import final

from core.domain.batch import ItemError
from core.domain.errors import AppError, Unavailable
from core.domain.ports import Database, ObjectStore
from core.domain.tenants import Tenant
from core.domain.web import Web
from core.usecases.images import fetch_image

_OPEN = 1000  # batches looked at in one round
_AHEAD = 40  # waiting items of a batch that are looked at: twice what is started in one commit
_OF_A_TENANT = 8  # in one round, so that one whose hosts hang leaves room for the others
_AT_ONCE = 4  # half of what one process fetches, so that requests find room too


@final
@dataclass(frozen=True, slots=True)
class _Wanted:
    """An image that waiting items of one batch name."""

    batch_id: str
    tenant: Tenant
    url: str


def fetch_inputs(database: Database, store: ObjectStore, web: Web) -> list[tuple[str, str]]:
    """One round: images that come next in the open batches; returns (tenant, id) of the batches that can go on."""
    wanted = _wanted(database)

    def fetch(one: _Wanted) -> str | ItemError | None:
        try:
            return fetch_image(database, store, web, tenant=one.tenant, url=one.url).id
        except Unavailable:
            return None  # nothing is wrong with the item; a later round tries again
        except AppError as error:
            return ItemError.of(error)

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        fetched = list(zip(wanted, pool.map(fetch, wanted), strict=True))
    batches: dict[tuple[str, str], dict[str, str | ItemError]] = {}
    for one, found in fetched:
        if found is not None:
            batches.setdefault((one.tenant.name, one.batch_id), {})[one.url] = found
    return [batch for batch, got in batches.items() if _prepare(database, batch, got)]


def _wanted(database: Database) -> list[_Wanted]:
    found: list[_Wanted] = []
    of_tenant: Counter[str] = Counter()
    with database.read() as uow:
        for name, batch_id in uow.batches.open(limit=_OPEN):
            batch = uow.batches.get(name, batch_id)
            items = () if batch is None or not batch.unstarted else uow.batches.waiting(batch, limit=_AHEAD)
            urls = dict.fromkeys(item.image_url for item in items if item.image_url is not None)
            for url in list(urls)[: _OF_A_TENANT - of_tenant[name]]:
                found.append(_Wanted(batch_id, uow.tenants.get(name) or Tenant(name=name), url))
                of_tenant[name] += 1
    return found


def _prepare(database: Database, batch: tuple[str, str], found: Mapping[str, str | ItemError]) -> bool:
    """Waiting items have their image now, or fail with the reason; False while another holds the batch."""
    with database.begin() as uow:
        held = uow.batches.try_hold(*batch)
        if held is None:
            return False
        ready, refused = [], {}
        for item in uow.batches.waiting(held, limit=_AHEAD):
            got = found.get(item.image_url or "")
            if isinstance(got, ItemError):
                refused[item.number] = got
            elif got is not None:
                ready.append(item.with_image(got))
        uow.batches.amend(held, ready)
        uow.batches.start(held, {}, refused)
        uow.batches.collect(held)
        uow.commit()
    return True

"""Who holds several jobs at once waits in no circle with another who does."""

from concurrent.futures import ThreadPoolExecutor
from time import sleep

from core.domain.batch import BatchState
from core.domain.job import JobKind
from core.domain.ports import JobFilter
from core.usecases.batches import cancel_batch, items_lock
from core.usecases.jobs import list_jobs
from tests.stack.batching import item, send, tend
from tests.stack.submitting import Caller


def test_a_cancel_waits_until_no_items_of_the_tenant_are_being_started(caller: Caller) -> None:
    """Items of another batch may need the same inversions, and hold them in their own order."""
    batch = send(caller, [item(number, caller.image(number)) for number in range(2)])
    tend(caller, batch)
    inversions = list_jobs(caller.database, JobFilter(tenant="acme", kind=JobKind.INVERSION))
    first, second = sorted(inversion.id for inversion in inversions)

    with ThreadPoolExecutor(1) as pool:
        with caller.database.begin() as uow:
            assert uow.try_lock(items_lock("acme"))
            uow.jobs.hold("acme", second)
            canceling = pool.submit(cancel_batch, caller.database, "acme", batch.id)
            sleep(0.5)
            uow.jobs.hold("acme", first)
            uow.commit()
        canceled, _ = canceling.result()

    assert canceled.state is BatchState.ENDED

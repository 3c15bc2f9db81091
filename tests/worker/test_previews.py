"""A running job shows what it has come to, not too often, and takes it along when it ends."""

from dataclasses import replace

from core.domain.watching import EventKind
from tests.stack.fakes import load
from tests.stack.submitting import Caller
from worker.tools import Tools
from worker.working import work


class WatchedStore:
    """An object store that notes the previews put into it, and what has been told of them when the next thing is."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self.previews: list[str] = []
        self.told: list[str] = []
        self.get, self.delete, self.list = tools.store.get, tools.store.delete, tools.store.list
        self.presign, self.presign_post, self.ping = tools.store.presign, tools.store.presign_post, tools.store.ping

    def put(self, key: str, data: bytes, *, media_type: str) -> None:
        tenant, _, job_id, *_ = key.split("/")
        with self._tools.database.read() as uow:
            self.told = [
                event.data["key"] for event in uow.events.of(tenant, job_id) if event.kind is EventKind.PREVIEW
            ]
        self._tools.store.put(key, data, media_type=media_type)
        if media_type == "image/png" and "preview" in key:
            self.previews.append(key)


def test_a_job_shows_a_preview_in_every_tenth_and_takes_them_along(tools: Tools, caller: Caller) -> None:
    job = caller.invert(parameters={"timesteps": 40})
    watched = WatchedStore(tools)

    work(replace(tools, store=watched))

    assert watched.previews == [f"{job.folder}1/preview-{timestep}.png" for timestep in range(4, 40, 4)]
    assert watched.told == watched.previews
    assert set(tools.store.list(job.folder)) == {artifact.key for artifact in load(tools.database, job).artifacts}
    with tools.database.read() as uow:
        assert {event.kind for event in uow.events.of(job.tenant, job.id)}.isdisjoint({EventKind.PREVIEW})


def test_previews_keep_their_distance(tools: Tools, caller: Caller) -> None:
    caller.invert(parameters={"timesteps": 40})
    watched = WatchedStore(tools)

    work(replace(tools, store=watched, limits=replace(tools.limits, preview_seconds=60)))

    assert watched.previews == []

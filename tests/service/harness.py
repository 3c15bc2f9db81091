"""The application in this process, and a stand-in for the worker that goes through the real use cases."""

from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from io import BytesIO
from typing import Any, final

import PIL.Image
from fastapi.testclient import TestClient
from httpx2 import Response

from core.domain.ids import IdPrefix, new_id
from core.domain.job import Artifact, JobClass, JobState, Progress
from core.domain.ports import Claim, Outcome
from core.domain.tenants import Tenant
from core.usecases.attempts import beat, claim_next, finish, keep_preview
from core.usecases.keys import CALLER_SCOPES, Scope, make_key
from core.usecases.queue import report_worker
from core.usecases.tenants import put_tenant
from service.dependencies import Ports

GOOD = {"quality": {"psnr": 40.0}}


@final
@dataclass(frozen=True, slots=True)
class Harness:
    """A client of the tenant `acme`, and what stands behind it."""

    client: TestClient
    ports: Ports

    def key(
        self, tenant: str, *, scopes: frozenset[Scope] = CALLER_SCOPES, days: float | None = None
    ) -> dict[str, str]:
        """The headers of a new key."""
        _, token = make_key(self.ports.database, tenant, name="test", scopes=scopes, days=days)
        return {"Authorization": f"Bearer {token}"}

    def may(self, **settings: Any) -> None:
        """What the tenant `acme` may do from now on."""
        put_tenant(self.ports.database, Tenant(name="acme", **settings))
        self.ports.callers.forget()

    def image(self, colour: str = "red", **options: Any) -> str:
        """The id of an image that was sent."""
        answer = self.client.post("/images", files={"image": png(colour)}, **options)
        assert answer.status_code == 201
        return str(answer.json()["id"])

    def invert(self, **changes: Any) -> dict[str, Any]:
        """A submitted inversion."""
        return accepted(self.client.post("/inversions", json=self.inversion(**changes)))

    def inversion(self, **changes: Any) -> dict[str, Any]:
        """The body of a sound inversion."""
        if "image" not in changes:
            changes["image"] = {"id": self.image()}
        return {"source_prompt": "a red circle on grass", **changes}

    def edit(self, **changes: Any) -> dict[str, Any]:
        """A submitted edit."""
        body = {"target_prompt": "a blue circle on grass", **changes}
        return accepted(self.client.post("/edits", json=body))

    def worker(self, worker_id: str = "wrk_1", *, slots: int = 1, lease_seconds: float = 60) -> None:
        """A worker with the service's model is ready."""
        report_worker(self.ports.database, worker_id, model=self.ports.model, slots=slots, lease_seconds=lease_seconds)

    def claim(self) -> Claim:
        """The next job, running."""
        claim = claim_next(self.ports.database, lease_seconds=60, classes=tuple(JobClass), model=self.ports.model)
        assert claim is not None
        return claim

    def work(self, outcome: Outcome | None = None) -> str:
        """Runs the next job and returns its id; left open, it succeeds with one artifact."""
        claim = self.claim()
        self.finish(claim, outcome)
        return claim.job.id

    def finish(self, claim: Claim, outcome: Outcome | None = None) -> None:
        """Ends a running job; left open, it succeeds with one artifact."""
        ended = outcome or Outcome(state=JobState.SUCCEEDED, result=GOOD, artifacts=(self.artifact(claim),))
        assert finish(self.ports.database, claim, ended, retention=timedelta(days=30))

    def advance(self, claim: Claim, timestep: int) -> None:
        """A worker's heartbeat: so many of ten timesteps."""
        progress = Progress(timestep=timestep, timesteps=10, eta_seconds=10.0 - timestep)
        beat(self.ports.database, claim, progress, lease_seconds=60)

    def show(self, claim: Claim, timestep: int) -> None:
        """A worker's preview."""
        key = f"{claim.job.folder}{claim.fence}/preview-{timestep}.png"
        self.ports.store.put(key, png("green"), media_type="image/png")
        assert keep_preview(self.ports.database, claim, key=key, timestep=timestep)

    def artifact(self, claim: Claim, *, name: str = "image") -> Artifact:
        """A stored picture."""
        data = png("blue")
        key = f"{claim.job.tenant}/{claim.job.id}/{claim.fence}/{name}.png"
        self.ports.store.put(key, data, media_type="image/png")
        return Artifact(name=name, media_type="image/png", bytes=len(data), sha256=sha256(data).hexdigest(), key=key)


@final
class FailingDatabase:
    """Implements `Database`; every use of it fails in the given way."""

    def __init__(self, failure: Exception) -> None:
        self._failure = failure

    def begin(self) -> Any:
        raise self._failure

    def read(self) -> Any:
        raise self._failure

    def ping(self) -> None:
        raise self._failure

    def close(self) -> None:
        return


def png(colour: str = "red", size: tuple[int, int] = (40, 30)) -> bytes:
    """A small picture."""
    buffer = BytesIO()
    PIL.Image.new("RGB", size, colour).save(buffer, "PNG")
    return buffer.getvalue()


def accepted(answer: Response) -> dict[str, Any]:
    """The job of a 202."""
    assert answer.status_code == 202, answer.text
    job: dict[str, Any] = answer.json()
    return job


def problem(answer: Response) -> tuple[int, str]:
    """Status and code of a problem, which must be a whole one."""
    document = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert {"type", "title", "status", "detail", "instance", "code", "request_id"} <= document.keys()
    assert document["status"] == answer.status_code
    assert document["type"] == f"/problems/{document['code']}"
    assert document["request_id"] == answer.headers["x-request-id"]
    return answer.status_code, document["code"]


def unknown_id(prefix: IdPrefix) -> str:
    """An id that nothing has."""
    return new_id(prefix)

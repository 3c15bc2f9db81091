"""The service as a Python object: send a picture and a sentence, follow the job, fetch what it left.

with Client("http://127.0.0.1:8000", "sk_…") as client:
    inversion = client.wait(client.invert("photo.jpg", "a dog on a sofa"))
    edit = client.wait(client.edit(inversion.id, "a cat on a sofa"))
    Path("cat.png").write_bytes(client.artifact(edit, "image"))
"""

import json
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, Final, Self, TypeAlias, final

import httpx

from stylediffusion.answers import Artifact, Batch, Job
from stylediffusion.errors import Fault, JobFailed, NotReachable, Refused, StillRunning

Picture: TypeAlias = bytes | str | PathLike[str]  # the bytes of a PNG, JPEG or WebP, or where they lie

_TRIES: Final = 6
_FIRST_PAUSE_SECONDS: Final = 0.25  # doubled each time: eight seconds in all, more than an API needs to start again
_LONGEST_PAUSE_SECONDS: Final = 30.0
_TEMPORARY: Final = frozenset({429, 502, 503, 504})
_TIMEOUT_SECONDS: Final = 30.0
# So long the service holds a reading; with progress to show it is asked once a second.
_WAIT_SECONDS: Final = 20


@final
class Client:
    """Speaks to one service with one API key.

    Whatever a broken connection or a service that starts again can spoil is tried again; an Idempotency-Key on every
    POST keeps a job from being made twice.

    Every method raises NotReachable, or Refused with the problem's code and detail.
    """

    def __init__(self, base_url: str, api_key: str, *, transport: httpx.BaseTransport | None = None) -> None:
        """Opens nothing yet.

        Args:
            base_url: for example http://127.0.0.1:8000.
            api_key: sk_…
            transport: another way to the service than the network.
        """
        self._http = httpx.Client(
            base_url=base_url,
            headers={"Authorization": f"Bearer {api_key}"},
            timeout=_TIMEOUT_SECONDS,
            transport=transport,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Gives up the connections."""
        self._http.close()

    def invert(
        self,
        image: Picture,
        source_prompt: str,
        *,
        method: str = "stylediffusion",
        parameters: Mapping[str, Any] | None = None,
        fit: str = "crop",
        seed: int = 0,
        metadata: Mapping[str, str] | None = None,
    ) -> Job:
        """Begins an inversion of a picture by the sentence that describes it."""
        fields = {"source_prompt": source_prompt, "method": method, "fit": fit, "seed": str(seed)}
        objects = {"parameters": parameters or {}, "metadata": metadata or {}}
        data = fields | {name: json.dumps(dict(value)) for name, value in objects.items()}
        return Job.model_validate_json(self._post("/inversions", data=data, files={"image": _bytes(image)}))

    def edit(
        self,
        inversion_id: str,
        target_prompt: str,
        *,
        method: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        output: str = "original",
        seed: int = 0,
        count: int | None = None,
        search: bool = False,
        metadata: Mapping[str, str] | None = None,
    ) -> Job:
        """Begins an edit, which waits for an inversion that is not done yet.

        Without a method it is p2plus, or with `search` several; of `count` results the best is `image`, the next
        `image_2`.
        """
        body = {
            "inversion_id": inversion_id,
            "target_prompt": target_prompt,
            "parameters": dict(parameters or {}),
            "output": output,
            "seed": seed,
            "search": search,
            "metadata": dict(metadata or {}),
            **{name: value for name, value in (("method", method), ("count", count)) if value is not None},
        }
        return Job.model_validate_json(self._post("/edits", json=body))

    def get(self, job_id: str, *, wait_seconds: int = 0) -> Job:
        """The job as it stands, or as soon as it is done within these seconds (at most 60)."""
        answer = self._send(
            "GET", f"/jobs/{job_id}", params={"wait": wait_seconds}, timeout=wait_seconds + _TIMEOUT_SECONDS
        )
        return Job.model_validate_json(answer)

    def wait(
        self, job: Job, *, on_progress: Callable[[Job], None] | None = None, timeout_seconds: float | None = None
    ) -> Job:
        """The job once it has succeeded; `on_progress` is called with every reading of it.

        Raises:
            JobFailed: it failed, was canceled or has expired.
            StillRunning: it was not done in time.
        """
        give_up_at = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        while not job.done:
            if give_up_at is not None and time.monotonic() >= give_up_at:
                raise StillRunning(f"{job.id} is {job.state} after {timeout_seconds:g} seconds.")
            job = self.get(job.id, wait_seconds=_WAIT_SECONDS if on_progress is None else 1)
            if on_progress is not None:
                on_progress(job)
        if job.error is not None:
            raise JobFailed(job.id, code=job.error.code, detail=job.error.detail, retryable=job.error.retryable)
        return job

    def artifacts(self, job: Job) -> tuple[Artifact, ...]:
        """The files a job left."""
        listed = json.loads(self._send("GET", f"/jobs/{job.id}/artifacts"))
        return tuple(Artifact.model_validate(one) for one in listed)

    def artifact(self, job: Job | str, name: str) -> bytes:
        """One file of a job or of its id.

        `reconstruction`, `attention` and `inversion` of an inversion, `image` and `mask` of an edit.
        """
        return self._send("GET", f"/jobs/{job if isinstance(job, str) else job.id}/artifacts/{name}")

    def keep_image(self, image: Picture) -> str:
        """The id of a picture that the service keeps from now on."""
        return str(json.loads(self._post("/images", files={"image": _bytes(image)}))["id"])

    def send_batch(self, lines: bytes) -> Batch:
        """Sends lines of JSON, one edit a line; the first may be `{"batch": {…}}`."""
        return Batch.model_validate_json(
            self._post("/batches", content=lines, headers={"Content-Type": "application/jsonl"})
        )

    def get_batch(self, batch_id: str) -> Batch:
        """The batch as it stands."""
        return Batch.model_validate_json(self._send("GET", f"/batches/{batch_id}"))

    def batch_results(self, batch_id: str, *, after: int = 0) -> Sequence[dict[str, Any]]:
        """The results that follow the one with this `sequence`, as far as the batch is."""
        answer = self._send("GET", f"/batches/{batch_id}/results", params={"after": after})
        return [json.loads(line) for line in answer.splitlines()]

    def cancel_batch(self, batch_id: str) -> Batch:
        """Stops a batch; one that has ended stays as it is."""
        return Batch.model_validate_json(self._post(f"/batches/{batch_id}/cancel"))

    def cancel(self, job: Job) -> Job:
        """Stops a job; one that is done stays as it is."""
        return Job.model_validate_json(self._post(f"/jobs/{job.id}/cancel"))

    def list(self, *, kind: str | None = None, state: str | None = None) -> Iterator[Job]:
        """Every job, newest first; `kind` is "inversion" or "edit"."""
        path = "/jobs" if kind is None else f"/{kind}s"
        asked = {} if state is None else {"state": state}
        token: str | None = ""
        while token is not None:
            page = json.loads(self._send("GET", path, params=asked | ({"page_token": token} if token else {})))
            yield from map(Job.model_validate, page["items"])
            token = page["next_page_token"]

    def _post(self, path: str, *, headers: Mapping[str, str] | None = None, **request: Any) -> bytes:
        key = {"Idempotency-Key": uuid.uuid4().hex}
        return self._send("POST", path, headers={**key, **(headers or {})}, **request)

    def _send(self, method: str, path: str, **request: Any) -> bytes:
        """The body of a good answer, after as many tries as make sense."""
        pause = _FIRST_PAUSE_SECONDS
        for last in (False,) * (_TRIES - 1) + (True,):
            try:
                answer = self._http.request(method, path, **request)
            except httpx.TransportError as error:
                if last:
                    raise NotReachable(f"{self._http.base_url} does not answer: {error}") from error
            else:
                if answer.is_success:
                    return answer.content
                refused = _refused(answer)
                if last or not _passes(refused):
                    raise refused
                pause = max(pause, _retry_after(answer))
            time.sleep(min(pause, _LONGEST_PAUSE_SECONDS))
            pause *= 2
        raise AssertionError  # the last try returns or raises


def _bytes(image: Picture) -> bytes:
    return image if isinstance(image, bytes) else Path(image).read_bytes()


def _passes(refused: Refused) -> bool:
    """Whether the same request may be answered better in a moment."""
    return refused.status in _TEMPORARY or refused.code == "IDEMPOTENCY_IN_FLIGHT"


def _refused(answer: httpx.Response) -> Refused:
    try:
        problem = answer.json()
        faults = tuple(Fault(fault["pointer"], fault["detail"]) for fault in problem.get("errors", ()))
        return Refused(problem["code"], problem["detail"], status=answer.status_code, faults=faults)
    except (ValueError, KeyError, TypeError, AttributeError):
        # A proxy on the way, or something else than our service.
        return Refused(f"HTTP_{answer.status_code}", answer.reason_phrase, status=answer.status_code)


def _retry_after(answer: httpx.Response) -> float:
    given = answer.headers.get("Retry-After", "")
    return float(given) if given.isdecimal() else 0.0

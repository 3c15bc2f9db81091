"""What callers ask of the service, and the same of the bare application."""

import base64
import json
from collections.abc import Iterator
from enum import StrEnum
from typing import Final, final

import numpy as np

from core.images import to_png
from tests.load.open_loop import Request
from tests.load.rows import DOCUMENTS, id_of, is_own, is_usable


class Kind(StrEnum):
    """What is measured apart."""

    DONE = "GET a finished job"
    QUEUED = "GET a queued job"
    BY_ID = "POST an inversion of a kept image"
    BY_BYTES = "POST an inversion with its image"
    EDIT = "POST an edit"
    BARE_GET = "GET a row"
    BARE_POST = "POST a row"


GETS: Final = (Kind.DONE, Kind.QUEUED)
POSTS: Final = (Kind.BY_ID, Kind.BY_BYTES, Kind.EDIT)

# Of ten requests seven read.
_TURN: Final = (
    *(Kind.DONE, Kind.DONE, Kind.BY_ID, Kind.DONE, Kind.QUEUED),
    *(Kind.EDIT, Kind.DONE, Kind.DONE, Kind.BY_BYTES, Kind.DONE),
)
_DDIM: Final = {"source_prompt": "a large red circle on grass", "method": "ddim"}


@final
class Traffic:
    """Requests without end, each about another job.

    Args:
        rows: jobs in the database, of which the newest `unfinished` are not done.
        image_id: a picture that the service keeps.
    """

    def __init__(self, *, rows: int, unfinished: int, image_id: str) -> None:
        self._rng = np.random.default_rng(rows)
        own = [n for n in range(rows) if is_own(n)]
        self._done = [n for n in own if n <= rows - unfinished]
        self._queued = [n for n in own if n > rows - unfinished and n % 5 == 0]
        # A recent one: old ones have no artifacts any more.
        self._inversion_id = id_of(next(n for n in reversed(self._done) if is_usable(n)))
        self._image_id = image_id
        self._seed = 0

    def ours(self) -> Iterator[Request]:
        """For the service."""
        while True:
            for kind in _TURN:
                yield self._one(kind)

    def reads(self) -> Iterator[Request]:
        """For the service, reading alone."""
        while True:
            yield self._one(Kind.DONE)

    def bare(self) -> Iterator[Request]:
        """For the bare application: a row with the same documents for every job."""
        body = json.dumps({"inputs": DOCUMENTS["inputs"], "parameters": DOCUMENTS["edit"]}).encode()
        while True:
            for kind in _TURN:
                if kind in GETS:
                    yield Request(Kind.BARE_GET, f"/items/{self._any(self._done)}")
                else:
                    yield Request(Kind.BARE_POST, "/items", body)

    def queued(self, count: int) -> list[str]:
        """Ids of jobs that wait in the queue."""
        return [id_of(n) for n in self._queued[:count]]

    def _one(self, kind: Kind) -> Request:
        if kind in GETS:
            return Request(kind, f"/jobs/{self._any(self._done if kind is Kind.DONE else self._queued)}")
        path, body = "/inversions", self._inversion(kind)
        if kind is Kind.EDIT:
            path, body = (
                "/edits",
                {"inversion_id": self._inversion_id, "target_prompt": "a large blue circle on grass"},
            )
        return Request(kind, path, json.dumps(body).encode())

    def _inversion(self, kind: Kind) -> dict[str, object]:
        if kind is Kind.BY_BYTES:
            picture = self._rng.integers(256, size=(64, 64, 3), dtype=np.uint8)
            return {**_DDIM, "image": {"base64": base64.b64encode(to_png(picture)).decode()}}
        # With another seed it is other work, which shares no result.
        self._seed += 1
        return {**_DDIM, "image": {"id": self._image_id}, "seed": self._seed}

    def _any(self, numbers: list[int]) -> str:
        return id_of(numbers[int(self._rng.integers(len(numbers)))])

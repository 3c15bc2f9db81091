"""What callers do during a run: a deck of short stories, each of which makes a few jobs."""

import base64
import time
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from io import BytesIO
from itertools import cycle
from random import Random
from typing import Any, final

import PIL.Image

from tests.chaos.caller import Caller
from tests.chaos.ledger import Fate
from tests.chaos.studio import Role

SOURCE = "a large purple circle on grass"
_TARGETS = ("a large white circle on grass", "a large red circle on grass", "a large purple square on grass")
_FAST = {"method": "ddim", "parameters": {"timesteps": 4}}
_LONG = {"method": "ddim", "parameters": {"timesteps": 20}}
_TRUE = (
    {"method": "ddim", "parameters": {"timesteps": 6}},
    {"method": "stylediffusion", "parameters": {"timesteps": 3, "inner_steps": 2}},
)
_AT_ONCE = 100  # requests with one Idempotency-Key
_TOLD = 0.4  # share of posts that name a webhook


class Kind(StrEnum):
    """A story; the number of jobs it makes stands beside it."""

    TRUE = "true"  # 2: the true engine inverts, and edits
    EDITS = "edits"  # 3: an inversion, and two edits that wait for it
    PICTURE = "picture"  # 2: an edit that brings its image
    DUPLICATES = "duplicates"  # 4: a leader, which may be canceled, and its followers
    CANCELED = "canceled"  # 2: an inversion that is canceled, and an edit of it
    LATE = "late"  # 1: an inversion with a deadline that it cannot keep
    BATCH = "batch"  # 6: five edits of one image
    ONCE = "once"  # 1: a hundred posts with one Idempotency-Key
    STALLED = "stalled"  # 1: an inversion whose engine stops moving
    POISON = "poison"  # 2: an inversion that kills its worker, and an edit of it
    SINGLE = "single"  # 1: a single inversion


JOBS = {
    Kind.TRUE: 2,
    Kind.EDITS: 3,
    Kind.PICTURE: 2,
    Kind.DUPLICATES: 4,
    Kind.CANCELED: 2,
    Kind.LATE: 1,
    Kind.BATCH: 6,
    Kind.ONCE: 1,
    Kind.STALLED: 1,
    Kind.POISON: 2,
    Kind.SINGLE: 1,
}
# First one of each, so that the shortest run tells every story, and true jobs enough for their share.
_FIRST = (*(kind for kind in Kind if kind is not Kind.SINGLE), Kind.TRUE, Kind.TRUE)
# Then again and again: of these 242 jobs 60 are true, one kills its worker, three stall.
_DECK = (
    (Kind.TRUE,) * 30
    + (Kind.EDITS,) * 21
    + (Kind.PICTURE,) * 18
    + (Kind.DUPLICATES,) * 9
    + (Kind.CANCELED,) * 9
    + (Kind.LATE,) * 6
    + (Kind.BATCH, Kind.STALLED) * 3
    + (Kind.POISON,)
)


@final
@dataclass(frozen=True, slots=True)
class Story:
    """One of the run's; its number makes it unlike all others."""

    kind: Kind
    number: int


def picture(number: int) -> str:
    """A picture unlike those of other numbers, in base64."""
    buffer = BytesIO()
    PIL.Image.new("RGB", (64, 64), (number % 256, number // 256, 60)).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def plan(jobs: int, random: Random, *, kinds: Collection[Kind] = tuple(Kind)) -> Sequence[Story]:
    """Stories of these kinds that make this many jobs; the same for the same random numbers."""
    chosen: list[Kind] = []
    left = jobs
    for kind in (kind for kind in _endless(random) if kind in kinds):
        if left == 0:
            break
        fitting = kind if JOBS[kind] <= left else Kind.SINGLE
        chosen.append(fitting)
        left -= JOBS[fitting]
    return [Story(kind, number) for number, kind in enumerate(chosen)]


@final
class Teller:
    """Plays stories for one caller."""

    def __init__(self, caller: Caller, *, images: Sequence[str], hook: str, random: Random) -> None:
        self._caller = caller
        self._images = images
        self._hook = hook
        self._random = random

    def tell(self, story: Story) -> None:
        """Plays one to its end, which is when everything is accepted."""
        getattr(self, f"_{story.kind}")(story)

    def look_at_readiness(self) -> None:
        """Asks whether the service tells that Redis is away."""
        self._caller.look_at_readiness()

    def _true(self, story: Story) -> None:
        seed = Role.TRUE.seed(story.number)
        inversion = self._invert(story, _TRUE[story.number % len(_TRUE)], seed=seed)
        self._edit(story, inversion, seed=seed)

    def _edits(self, story: Story) -> None:
        inversion = self._invert(story, _FAST)
        for turn in range(2):
            self._edit(story, inversion, turn=turn)

    def _picture(self, story: Story) -> None:
        seed = Role.FAST.seed(story.number)
        # A picture that nobody has sent before: its bytes are stored while things break.
        body: dict[str, Any] = {"image": {"base64": picture(story.number)}, "source_prompt": SOURCE}
        body |= {
            "inversion": {**_FAST, "seed": seed},
            "target_prompt": _TARGETS[0],
            "seed": seed,
            **self._marked(f"{story.number}-picture"),
        }
        self._caller.submit("/edits", body, Fate.SUCCEEDS, key=f"{story.number}-picture")

    def _duplicates(self, story: Story) -> None:
        leader = self._invert(story, _LONG, fate=Fate.CANCELED)
        for turn in range(3):
            self._invert(story, _LONG, name=f"duplicate-{turn}")
        if leader is not None and story.number % 2:
            self._caller.post(f"/inversions/{leader['id']}/cancel")

    def _canceled(self, story: Story) -> None:
        # One that goes on for much longer than a cancel may take, or one that may have succeeded by then.
        role = Role.FAST if story.number % 2 else Role.SLOW
        inversion = self._invert(story, _LONG, fate=Fate.CANCELED, seed=role.seed(story.number))
        self._edit(story, inversion, fate=Fate.FAILS_ALONG)
        time.sleep(self._random.uniform(0, 4))
        if inversion is not None:
            self._caller.post(f"/jobs/{inversion['id']}/cancel")

    def _late(self, story: Story) -> None:
        seed = Role.SLOW.seed(story.number)
        self._invert(story, _LONG, fate=Fate.EXPIRES, seed=seed, deadline_seconds=self._random.randint(1, 4))

    def _batch(self, story: Story) -> None:
        seed = Role.FAST.seed(story.number)
        defaults = {
            "image": {"id": self._images[0]},
            "source_prompt": SOURCE,
            "inversion": {**_FAST, "seed": seed},
            "seed": seed,
        }
        items = [{"custom_id": str(n), "target_prompt": _TARGETS[n % 3], "seed": seed + 10 * n} for n in range(5)]
        key = f"{story.number}-batch"
        body = {"defaults": defaults, "items": items, **self._marked(key)}
        self._caller.submit("/batches", body, Fate.SUCCEEDS, key=key)

    def _once(self, story: Story) -> None:
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(lambda _: self._invert(story, _FAST, told=False), range(_AT_ONCE)))

    def _stalled(self, story: Story) -> None:
        self._invert(story, _FAST, seed=Role.STALL.seed(story.number))

    def _poison(self, story: Story) -> None:
        inversion = self._invert(story, _FAST, fate=Fate.POISON, seed=Role.POISON.seed(story.number))
        self._edit(story, inversion, fate=Fate.FAILS_ALONG)

    def _single(self, story: Story) -> None:
        self._invert(story, _FAST)

    def _invert(self, story: Story, work: dict[str, Any], **given: Any) -> dict[str, Any] | None:
        key = f"{story.number}-{given.get('name', 'inversion')}"
        seed = given.get("seed", Role.FAST.seed(story.number))
        body = {"image": {"id": self._images[story.number % len(self._images)]}, "source_prompt": SOURCE}
        body |= {**work, "seed": seed, **self._marked(key, told=given.get("told"))}
        deadline = {name: given[name] for name in ("deadline_seconds",) if name in given}
        return self._caller.submit("/inversions", body, given.get("fate", Fate.SUCCEEDS), key=key, **deadline)

    def _edit(self, story: Story, inversion: dict[str, Any] | None, **given: Any) -> None:
        if inversion is None:
            return
        turn = given.get("turn", 0)
        key = f"{story.number}-edit-{turn}"
        seed = given.get("seed", Role.FAST.seed(story.number))
        body = {"inversion_id": inversion["id"], "target_prompt": _TARGETS[turn], "seed": seed, **self._marked(key)}
        self._caller.submit("/edits", body, given.get("fate", Fate.SUCCEEDS), key=key)

    def _marked(self, key: str, *, told: bool | None = None) -> dict[str, Any]:
        named = self._random.random() < _TOLD if told is None else told
        return {"metadata": {"post": key}, **({"webhook": {"url": self._hook}} if named else {})}


def _endless(random: Random) -> Iterator[Kind]:
    yield from _FIRST
    deck = list(_DECK)
    for _ in cycle([None]):
        random.shuffle(deck)
        yield from deck

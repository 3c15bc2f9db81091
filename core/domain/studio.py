"""What a worker asks of the algorithms: run one inversion or one edit, and say where it stands."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol, final

from core.domain.edit_specs import EditSpec
from core.domain.inversion_specs import InversionSpec
from core.domain.specs import Fit, Output
from core.domain.variants import ONE, Variety


class StopReason(StrEnum):
    """Why a computation is told to stop before its end."""

    CANCELED = "canceled"  # the caller asked for it
    SHUTDOWN = "shutdown"  # this worker is going down; another will go on
    LOST = "lost"  # the lease is gone: nothing this attempt writes counts any more


@final
class Interrupted(Exception):
    """Raised by an observer to stop a computation; it passes through the studio unchanged."""

    def __init__(self, reason: StopReason) -> None:
        super().__init__(reason)
        self.reason = reason


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """A timestep is finished.

    `checkpoint` packs what `resume` needs to go on from here, `preview` a small PNG; both are called only while the
    observer runs, and None where there is nothing of the kind.
    """

    timestep: int  # finished so far
    timesteps: int  # in all
    checkpoint: Callable[[], bytes] | None = None
    preview: Callable[[], bytes] | None = None


Observer = Callable[[Reached], None]
Check = Callable[[], None]


def go_on() -> None:
    """The check of a computation that is stopped at timesteps alone."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """One result, ready to be stored."""

    name: str
    media_type: str
    data: bytes


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """Everything a computation leaves behind."""

    files: tuple[File, ...]
    result: dict[str, Any]
    warnings: tuple[str, ...] = ()
    metrics: dict[str, float] = field(default_factory=dict)


class Studio(Protocol):
    """Runs the algorithms on one loaded model; its methods may be called from several threads at once.

    An inversion leaves the files `reconstruction`, `attention` (PNG) and `inversion` (safetensors); an edit leaves
    `image` and `mask` (PNG): of several results the best, and of the next `image_2` and `mask_2`. `images` are the
    pictures that an edit's parameters name, by id. `check` is called before every call of the model, by any thread, and
    returns at once; what it raises ends the computation there, without a checkpoint.
    """

    def invert(
        self,
        image_png: bytes,
        prompt: str,
        spec: InversionSpec,
        *,
        fit: Fit,
        seed: int,
        observe: Observer,
        check: Check = go_on,
        resume: bytes | None,
    ) -> Finished: ...

    def edit(
        self,
        inversion: bytes,
        image_png: bytes,
        target_prompt: str,
        *,
        spec: EditSpec,
        output: Output,
        seed: int,
        images: Mapping[str, bytes],
        observe: Observer,
        check: Check = go_on,
        resume: bytes | None,
        variety: Variety = ONE,
    ) -> Finished: ...

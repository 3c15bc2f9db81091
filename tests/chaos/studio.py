"""The studio of the chaos suite: the true one, digests, and jobs that harm their worker."""

import hashlib
import os
import signal
import time
from collections.abc import Mapping
from enum import IntEnum
from pathlib import Path
from typing import final

from core.domain.edit_specs import EditSpec
from core.domain.inversion_specs import InversionSpec
from core.domain.specs import Fit, Output
from core.domain.studio import Check, Finished, Observer, Reached, Studio, go_on
from core.domain.variants import ONE, Variety
from tests.stack.studio import FakeStudio


class Role(IntEnum):
    """What a job is there for: the last digit of its seed."""

    TRUE = 0  # the true engine on the packaged model
    FAST = 1  # a digest, timestep by timestep
    SLOW = 2  # the same, so slowly that its deadline passes
    POISON = 3  # kills its worker at its first timestep, each time
    STALL = 4  # its first attempt never comes to a second timestep

    def seed(self, number: int) -> int:
        """The seed of the job of this number."""
        return number * 10 + self

    @classmethod
    def of(cls, seed: int) -> "Role":
        """The role that a seed tells."""
        return cls(seed % 10)


_TIMESTEP_SECONDS = {Role.FAST: 0.15, Role.SLOW: 1.0, Role.POISON: 0.1, Role.STALL: 0.1}
LONGEST_TIMESTEP_SECONDS = max(_TIMESTEP_SECONDS.values())


def expected_digest(role: Role, *, seconds: bool = False) -> FakeStudio:
    """The studio that computes what a job of this role must come to; without `seconds` it takes no time."""
    return FakeStudio(Path(os.devnull), _TIMESTEP_SECONDS[role] if seconds else 0.0)


@final
class MixedStudio:
    """Implements `Studio`.

    Args:
        true: the model's.
        folder: where a stalled job leaves a mark, so that it stalls once.
        stall_seconds: how long it does.
    """

    def __init__(self, true: Studio, folder: Path, *, stall_seconds: float) -> None:
        self._true = true
        self._folder = folder
        self._stall_seconds = stall_seconds

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
    ) -> Finished:
        role = Role.of(seed)
        studio = self._true if role is Role.TRUE else expected_digest(role, seconds=True)
        harmful = self._harming(role, seed, observe)
        return studio.invert(image_png, prompt, spec, fit=fit, seed=seed, observe=harmful, check=check, resume=resume)

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
    ) -> Finished:
        role = Role.of(seed)
        studio = self._true if role is Role.TRUE else expected_digest(role, seconds=True)
        return studio.edit(
            inversion,
            image_png,
            target_prompt,
            spec=spec,
            output=output,
            seed=seed,
            images=images,
            observe=observe,
            check=check,
            resume=resume,
            variety=variety,
        )

    def _harming(self, role: Role, seed: int, observe: Observer) -> Observer:
        def harm(reached: Reached) -> None:
            if role is Role.POISON:
                os.kill(os.getpid(), signal.SIGKILL)
            if role is Role.STALL and self._first_time(seed):
                time.sleep(self._stall_seconds)
            observe(reached)

        return harm

    def _first_time(self, seed: int) -> bool:
        mark = self._folder / hashlib.sha256(str(seed).encode()).hexdigest()
        if mark.exists():
            return False
        mark.touch()
        return True

"""The true studio on the packaged model; every timestep it computes is a line in a journal."""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import final

from core.domain.edit_specs import EditSpec
from core.domain.inversion_specs import InversionSpec
from core.domain.specs import Fit, Output
from core.domain.studio import Check, Finished, Observer, Reached, Studio, go_on
from core.domain.variants import ONE, Variety
from core.settings import Settings
from worker.loading import load_studio


def load(settings: Settings, journal: Path) -> Studio:
    """The model's studio, warm."""
    return _Journaling(load_studio(settings), journal)


@final
@dataclass(frozen=True)
class _Journaling:
    """Implements `Studio`; a line has the process, the timestep, and a digest of all that is kept of it."""

    true: Studio
    journal: Path

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
        return self.true.invert(
            image_png,
            prompt,
            spec,
            fit=fit,
            seed=seed,
            observe=self._telling(observe),
            check=check,
            resume=resume,
        )

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
        return self.true.edit(
            inversion,
            image_png,
            target_prompt,
            spec=spec,
            output=output,
            seed=seed,
            images=images,
            observe=self._telling(observe),
            check=check,
            resume=resume,
            variety=variety,
        )

    def _telling(self, observe: Observer) -> Observer:
        def tell(reached: Reached) -> None:
            kept = b"" if reached.checkpoint is None else reached.checkpoint()
            with self.journal.open("a") as journal:
                journal.write(f"{os.getpid()} {reached.timestep} {hashlib.sha256(kept).hexdigest()}\n")
            observe(reached)

        return tell

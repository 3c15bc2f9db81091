"""A studio without a model: it computes a digest, timestep by timestep, and can be told to misbehave."""

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import final

from core.domain.edit_specs import EditSpec
from core.domain.errors import ComputeError, ErrorCode
from core.domain.inversion_specs import InversionSpec
from core.domain.specs import Fit, Output
from core.domain.studio import Check, File, Finished, Observer, Reached, go_on
from core.domain.variants import ONE, Variety

PROMPT_DIVERGES = "diverges"
PROMPT_FULL = "memory is full"
PROMPT_LATE = "takes too long"


@final
@dataclass(frozen=True)
class State:
    """Where a fake computation stands."""

    done: int
    digest: str

    def pack(self) -> bytes:
        return json.dumps(asdict(self)).encode()


@final
@dataclass
class FakeStudio:
    """Implements `Studio`; every timestep it computes is a line of `journal`, and has so many calls of a model."""

    journal: Path
    timestep_seconds: float = 0.0
    calls: int = 1

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
        if prompt == PROMPT_DIVERGES:
            raise ComputeError(ErrorCode.DIVERGED, "The loss is not a number.")
        if prompt == PROMPT_FULL:
            raise MemoryError
        if prompt == PROMPT_LATE:
            raise TimeoutError
        digest = _digest(image_png, prompt.encode(), str(seed).encode())
        state = State(0, digest) if resume is None else State(**json.loads(resume))
        while state.done < spec.timesteps:
            state = self._step(prompt, state, check)
            observe(Reached(timestep=state.done, timesteps=spec.timesteps, checkpoint=state.pack, preview=state.pack))
        data = state.digest.encode()
        return _finished({"reconstruction": data, "attention": data, "inversion": data})

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
        digest = _digest(inversion, target_prompt.encode())
        state = State(0, digest) if resume is None else State(**json.loads(resume))
        while state.done < 2:
            state = self._step(target_prompt, state, check)
            observe(Reached(timestep=state.done, timesteps=2, checkpoint=state.pack))
        data = state.digest.encode()
        return _finished({"image": data, "mask": data})

    def _step(self, prompt: str, state: State, check: Check) -> State:
        for _ in range(self.calls):
            check()
            time.sleep(self.timestep_seconds / self.calls)
        done = state.done + 1
        with self.journal.open("a") as journal:
            journal.write(f"{prompt}:{done}\n")
        return State(done, _digest(state.digest.encode(), str(done).encode()))


def steps_in(journal: Path) -> list[str]:
    """The timesteps computed so far, in order."""
    return journal.read_text().split("\n")[:-1] if journal.exists() else []


def _digest(*parts: bytes) -> str:
    return hashlib.sha256(b"/".join(parts)).hexdigest()


def _finished(data: dict[str, bytes]) -> Finished:
    media = {"inversion": "application/octet-stream"}
    return Finished(
        files=tuple(File(name=name, media_type=media.get(name, "image/png"), data=part) for name, part in data.items()),
        result={"quality": {"psnr": 40.0}},
        warnings=("This is a fake.",),
        metrics={"unet_forwards": 1.0},
    )

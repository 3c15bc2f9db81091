"""What both sides of the benchmark are given to do."""

import math
from dataclasses import dataclass
from typing import Final, final

from core.domain.edit_parts import CrossRule
from core.domain.edit_specs import P2PlusSpec
from core.domain.inversion_specs import StyleDiffusionSpec


@final
@dataclass(frozen=True, slots=True)
class Budget:
    """An inversion's timesteps and inner loop; without `stops` every inner step is taken.

    `closing` is the inner steps at each of the last fifth of the timesteps, which only the engine's solver has.
    """

    timesteps: int
    guidance: float
    steps: int = 8
    decay: float = 0.0
    learning_rate: float = 1e-2
    stops: bool = False
    closing: int = 0

    def inner_steps(self, index: int) -> int:
        """Inner steps at timestep `index`, at most."""
        return math.ceil(self.steps * math.exp(-self.decay * index))

    def enough(self, index: int) -> float:
        """The published threshold on the loss."""
        return 1e-5 + 2e-5 * index if self.stops else 0.0

    def spec(self) -> StyleDiffusionSpec:
        """The same for the engine's solver."""
        return StyleDiffusionSpec(
            timesteps=self.timesteps,
            guidance=self.guidance,
            inner_steps=self.steps,
            inner_decay=self.decay,
            learning_rate=self.learning_rate,
            stop_loss=1e-5 if self.stops else 0.0,
            stop_slope=2e-5 if self.stops else 0.0,
            closing_steps=self.closing,
        )


@final
@dataclass(frozen=True, slots=True)
class Windows:
    """The shares of the timesteps in which P2Plus injects; the published "cat to tiger"."""

    value: float = 0.5
    cross: float = 0.6
    self_: float = 0.6
    uncond: float = 0.5

    def spec(self) -> P2PlusSpec:
        """The same for the engine's solver."""
        return P2PlusSpec(
            value_window=self.value,
            cross_window=self.cross,
            self_window=self.self_,
            uncond_window=self.uncond,
            cross_rule=CrossRule.REPLACE,
        )


# The released code's inner loop: ceil(100 e^(-0.1 i)) steps with early stop.
PUBLISHED_STEPS: Final = 100
PUBLISHED_DECAY: Final = 0.1

# One inner step where later timesteps mend what is missed, eight where none does.
IMPROVED: Final = Budget(timesteps=50, guidance=7.5, steps=1, stops=True, closing=8)

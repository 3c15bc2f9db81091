"""What a job costs before it is run: the most UNet passes its parameters allow."""

from dataclasses import dataclass
from typing import final

from core.domain.edit_specs import (
    EditSpec,
    ImagicSpec,
    Lending,
    MasaCtrlSpec,
    P2PlusSpec,
    P2pSpec,
    Pix2PixZeroSpec,
    PlugAndPlaySpec,
    SdEditSpec,
    StyleTransferSpec,
    WordSwapSpec,
)
from core.domain.inversion_specs import (
    DdimSpec,
    DirectSpec,
    EditFriendlySpec,
    InversionSpec,
    NegativePromptSpec,
    Optimisation,
    Pix2PixZeroInversionSpec,
    ProximalSpec,
)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Passes of one latent through the UNet; a backward pass takes about as long as two forward ones."""

    unet_forwards: int
    unet_backwards: int

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(
            unet_forwards=self.unet_forwards + other.unet_forwards,
            unet_backwards=self.unet_backwards + other.unet_backwards,
        )


def cost_of_inversion(spec: InversionSpec) -> Cost:
    """The trace, and the way back; a learned inversion adds its inner steps, which may end early."""
    match spec:
        case Optimisation():
            descents = sum(inner_budgets(spec))
            # The trace, the branch that is not learned, and the step once the budget is spent.
            return Cost(unet_forwards=3 * spec.timesteps + spec.last_map_call + descents, unet_backwards=descents)
        case DdimSpec():
            return Cost(unet_forwards=3 * spec.timesteps, unet_backwards=0)
        case NegativePromptSpec() | ProximalSpec() | Pix2PixZeroInversionSpec():
            # Both branches of the source are one.
            return Cost(unet_forwards=2 * spec.timesteps, unet_backwards=0)
        case DirectSpec():
            return Cost(unet_forwards=spec.timesteps, unet_backwards=0)
        case EditFriendlySpec():
            branches = 1 if spec.source_guidance == 1.0 else 2
            return Cost(unet_forwards=branches * spec.sampled, unet_backwards=0)


def cost_of_edit(spec: EditSpec, *, timesteps: int) -> Cost:  # noqa: PLR0911 - one return a method
    """Both branches of the target, and of the source where its attention is read."""
    match spec:
        case WordSwapSpec():
            return Cost(unet_forwards=2 * timesteps, unet_backwards=0)
        case Pix2PixZeroSpec():
            guided = spec.guidance_rate > 0
            # The source's row without gradient, the target's with it, and both branches again.
            return Cost(unet_forwards=(4 if guided else 2) * timesteps, unet_backwards=timesteps if guided else 0)
        case P2pSpec() | P2PlusSpec():
            return Cost(unet_forwards=4 * timesteps, unet_backwards=0)
        case MasaCtrlSpec():
            return Cost(unet_forwards=2 * timesteps + 2 * max(0, timesteps - spec.start), unet_backwards=0)
        case SdEditSpec():
            return Cost(unet_forwards=2 * int(spec.strength * timesteps), unet_backwards=0)
        case ImagicSpec():
            descents = spec.embedding_steps + spec.weight_steps
            return Cost(unet_forwards=descents + 2 * timesteps, unet_backwards=descents)
        case PlugAndPlaySpec() | StyleTransferSpec():
            return Cost(unet_forwards=2 * timesteps + _lent(spec, timesteps), unet_backwards=0)


def _lent(spec: Lending, timesteps: int) -> int:
    """The passes of the picture that lends its layout, inside its windows; a second picture is traced first."""
    traced = timesteps if isinstance(spec, StyleTransferSpec) else 0
    return traced + max(int(spec.feature_window * timesteps), int(spec.self_window * timesteps))


def inner_budgets(spec: Optimisation) -> tuple[int, ...]:
    """The largest number of inner steps at each timestep, in order."""
    return tuple(spec.inner_budget(index) for index in range(spec.timesteps))

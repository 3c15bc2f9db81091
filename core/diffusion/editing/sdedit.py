"""SDEdit: noise up to a timestep, and from there the target prompt.

Source: Meng et al. 2021, arXiv 2108.01073; with a StyleDiffusion inversion, Li et al. 2023, arXiv 2303.15649,
figure 18.
"""

from functools import partial

import torch

from core.diffusion.editing.plans import value_stop
from core.diffusion.editing.rows import target_outputs
from core.diffusion.editing.standing import resumed, stand
from core.diffusion.editing.subject import Edited, EditSubject
from core.diffusion.requests import Reached, Solver, Tensors
from core.diffusion.schedule import Schedule
from core.domain.edit_specs import SdEditSpec


def sample_noised(
    spec: SdEditSpec, subject: EditSubject, schedule: Schedule, *, seed: int, resume: Tensors | None
) -> Solver[Edited]:
    """Samples the target prompt from the picture under noise that the seed draws.

    What was learned for a timestep is used at that timestep.
    """
    inversion, timesteps = subject.inversion, schedule.timesteps
    first = len(timesteps) - int(spec.strength * len(timesteps))
    image, stop = inversion.trace[0], value_stop(spec, len(timesteps))
    noise = torch.randn(image.shape, generator=torch.Generator().manual_seed(seed)).to(image)
    latent = image
    if first == 0:
        latent = noise
    elif first < len(timesteps):
        latent = schedule.noised(image, noise, timesteps[first])
    done, latent = resumed(latent, resume)
    for index in range(first + done, len(timesteps)):
        outputs = yield from target_outputs(subject, schedule, index, latent=latent, value_stop=stop)
        latent = inversion.rule.advance(schedule, latent, outputs, index=index)
        latent, done = subject.hold(latent, index), done + 1
        yield Reached(done, len(timesteps) - first, latent, partial(stand, done, latent))
    return Edited(latent, subject.region, {"first_timestep": first, "value_stop": stop})

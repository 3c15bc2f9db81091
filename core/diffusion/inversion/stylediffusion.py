"""StyleDiffusion: learn the value input of cross-attention, keep the text as its key input.

Source: Li et al. 2023, arXiv 2303.15649, section 3 and algorithm 1; departures are named where they stand.
"""

from collections.abc import Generator

import torch
import torch.nn.functional as F
from torch import Tensor

from core.diffusion.attention.sites import Site, carries_words
from core.diffusion.conditioning import ValueConditioning
from core.diffusion.inversion.inversion import Inversion
from core.diffusion.inversion.learning import Learned, fit_timestep
from core.diffusion.inversion.trace import Subject, Trace, inversion_rows, trace_image
from core.diffusion.mapping import MappingNetwork, modulate
from core.diffusion.requests import Answer, Denoised, Reached, Request, Rows, Solver, Tensors, denoise
from core.diffusion.schedule import Schedule, guided
from core.domain.inversion_specs import StyleDiffusionSpec


def invert_stylediffusion(
    spec: StyleDiffusionSpec, subject: Subject, schedule: Schedule, *, seed: int, resume: Tensors | None = None
) -> Solver[Inversion]:
    """Fits one mapping network per timestep, each started from the one before.

    T calls of tracing, then per timestep one of the null branch (none at guidance 1), at most `inner_budget` with
    gradient, and one more when the budget ran out. Free-running: each timestep starts where the last one arrived.
    """
    total = 2 * spec.timesteps
    keep_maps = spec.attention_loss > 0
    network = MappingNetwork(image_tokens=len(subject.features), text_tokens=len(subject.source), head=spec.head).to(
        subject.latent
    )
    if resume is None:
        trace = yield from trace_image(subject, schedule, keep_maps=keep_maps, calls_in_all=total)
        learned = Learned([trace.latents[-1]])
        network.initialise(torch.Generator().manual_seed(seed))
    else:
        trace = Trace(resume["trace"], resume["word_maps"])
        learned = Learned.from_tensors(resume)
        network.load_state_dict(learned.carried)
    for index in range(learned.index, spec.timesteps):
        wanted = (yield from _wanted_maps(spec, subject, schedule, trace=trace, index=index)) if keep_maps else {}
        latent = yield from _fit_timestep(
            spec, subject, schedule, network=network, learned=learned, target=trace.latents[-2 - index], wanted=wanted
        )
        learned.path.append(latent)
        learned.found.append(network(subject.features).detach())
        learned.carried = network.tensors()
        yield Reached(
            spec.timesteps + index + 1, total, latent, lambda: learned.tensors(trace.latents, trace.word_maps)
        )
    conditioning = ValueConditioning(spec.head, torch.stack(learned.found), subject.null)
    return Inversion(conditioning, trace.latents, torch.stack(learned.path), trace.word_maps, tuple(learned.losses))


def _fit_timestep(
    spec: StyleDiffusionSpec,
    subject: Subject,
    schedule: Schedule,
    *,
    network: MappingNetwork,
    learned: Learned,
    target: Tensor,
    wanted: dict[Site, Tensor],
) -> Generator[Request, Answer, Tensor]:
    """Fits the network at one timestep (eq. 6) and returns the next latent of the free-running path.

    Where the last loss was already enough its own output is the step; the published code computes both branches again.
    """
    index, latent = learned.index, learned.path[-1]
    timestep, key = schedule.timesteps[index], subject.source[None]
    unconditional = None if spec.guidance == 1.0 else (yield from _null_output(subject, latent, timestep))

    def rows() -> Rows:
        value = modulate(spec.head, network(subject.features), subject.source)[None]
        return Rows(latent[None], timestep, keys=key, values=value, record=carries_words if wanted else None)

    def advance(output: Tensor) -> Tensor:
        return schedule.step(latent, guided(unconditional, output, spec.guidance), timestep)

    def loss(seen: Denoised) -> Tensor:
        attention = sum(F.mse_loss(seen.maps[site], maps) for site, maps in wanted.items())
        return F.mse_loss(advance(seen.output[0]), target) + spec.attention_loss * attention

    last, output = yield from fit_timestep(tuple(network.parameters()), rows, loss, spec=spec, index=index)
    learned.losses.append(last)
    return advance(output)


def _null_output(subject: Subject, latent: Tensor, timestep: int) -> Generator[Request, Answer, Tensor]:
    """The null branch, which does not depend on the network and is computed once."""
    null = subject.null[None]
    return (yield from denoise(Rows(latent[None], timestep, keys=null, values=null))).output[0]


def _wanted_maps(
    spec: StyleDiffusionSpec, subject: Subject, schedule: Schedule, *, trace: Trace, index: int
) -> Generator[Request, Answer, dict[Site, Tensor]]:
    """The attention maps the attention loss (eq. 5) compares with at timestep `index`.

    Maps of the call that left latent T - index. The noisiest latent was never left: the published code takes the call
    before it, footnote 2 of the paper spends one more. A resumed inversion has no maps in memory and asks again for
    the one it needs.
    """
    call = spec.timesteps - index
    if call == spec.timesteps and not spec.last_map_call:
        call -= 1
    if call < len(trace.maps):
        return trace.maps[call]
    timestep = schedule.timesteps[max(spec.timesteps - 1 - call, 0)]
    return dict((yield from denoise(inversion_rows(subject, trace.latents[call], timestep))).maps)

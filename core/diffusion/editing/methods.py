"""Every edit method by its specification."""

from core.diffusion.editing.imagic import sample_imagic
from core.diffusion.editing.pix2pix_zero import sample_directed
from core.diffusion.editing.plans import plan_edit, value_stop
from core.diffusion.editing.plug_and_play import sample_plug_and_play
from core.diffusion.editing.sampling import sample_plan
from core.diffusion.editing.sdedit import sample_noised
from core.diffusion.editing.style_transfer import transfer_style
from core.diffusion.editing.subject import Edited, EditSubject
from core.diffusion.requests import Solver, Tensors
from core.diffusion.schedule import Schedule
from core.domain.edit_specs import (
    EditSpec,
    ImagicSpec,
    MasaCtrlSpec,
    P2PlusSpec,
    P2pSpec,
    Pix2PixZeroSpec,
    PlugAndPlaySpec,
    SdEditSpec,
    StyleTransferSpec,
    WordSwapSpec,
)


def edit(
    spec: EditSpec,
    subject: EditSubject,
    schedule: Schedule,
    *,
    seed: int,
    resume: Tensors | None = None,
) -> Solver[Edited]:
    """The solver of a specification.

    Args:
        spec: the method and its parameters.
        subject: the inversion and the two sentences.
        schedule: the T timesteps of the inversion.
        seed: of what the method draws; most draw nothing.
        resume: the state of an earlier `Reached`, on whatever device.

    Raises:
        InputError: WORD_NOT_IN_PROMPT or PROMPTS_NOT_ALIGNED.
    """
    timesteps = len(schedule.timesteps)
    if resume is not None:
        resume = {name: tensor.to(subject.unedited.device) for name, tensor in resume.items()}
    match spec:
        case WordSwapSpec() | P2pSpec() | P2PlusSpec() | MasaCtrlSpec():
            plan = plan_edit(spec, subject.source.prompt, subject.target.prompt, timesteps=timesteps)
            return sample_plan(plan, subject, schedule, value_stop=value_stop(spec, timesteps), resume=resume)
        case SdEditSpec():
            return sample_noised(spec, subject, schedule, seed=seed, resume=resume)
        case Pix2PixZeroSpec():
            return sample_directed(spec, subject, schedule, resume=resume)
        case PlugAndPlaySpec():
            return sample_plug_and_play(spec, subject, schedule, resume=resume)
        case StyleTransferSpec():
            return transfer_style(spec, subject, schedule, resume=resume)
        case ImagicSpec():
            return sample_imagic(spec, subject, schedule, seed=seed, resume=resume)

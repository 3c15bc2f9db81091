"""The DDIM schedule against reference values."""

import numpy as np
import numpy.typing as npt
import pytest
import torch

from core.diffusion.schedule import Prediction, Schedule, guided
from tests.reference import arrays

_DDIM = arrays("ddim")
_CONFIG = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}
_SETTINGS = [(50, 0), (50, 1), (30, 0), (30, 1)]


def _schedule(timesteps: int, offset: int, prediction: Prediction = Prediction.EPSILON) -> Schedule:
    return Schedule.from_config({**_CONFIG, "steps_offset": offset, "prediction_type": prediction}, timesteps)


def _tensor(array: npt.NDArray[np.float64]) -> torch.Tensor:
    return torch.from_numpy(array)


def test_cumulative_alphas_are_those_of_the_trained_models() -> None:
    alphas = _schedule(50, 1).alphas

    torch.testing.assert_close(alphas, _tensor(_DDIM["alphas_cumprod_float64"]), rtol=0, atol=1e-12)
    torch.testing.assert_close(alphas.float(), _tensor(_DDIM["alphas_cumprod_float32"]), rtol=2e-6, atol=0)


@pytest.mark.parametrize(("timesteps", "offset"), [*_SETTINGS, (10, 0), (10, 1)])
def test_timesteps_are_those_of_leading_spacing(timesteps: int, offset: int) -> None:
    assert _schedule(timesteps, offset).timesteps == tuple(_DDIM[f"T{timesteps}_offset{offset}.timesteps"])


@pytest.mark.parametrize("prediction", Prediction)
@pytest.mark.parametrize(("timesteps", "offset"), _SETTINGS)
def test_a_step_and_its_inverse_are_the_published_ones(timesteps: int, offset: int, prediction: Prediction) -> None:
    schedule = _schedule(timesteps, offset, prediction)
    name = f"T{timesteps}_offset{offset}"
    latent, output = _tensor(_DDIM["latent"]), _tensor(_DDIM["output"])

    for n, timestep in enumerate(_DDIM[f"{name}.at"].tolist()):
        stepped = schedule.step(latent, output, timestep)[0]
        inverted = schedule.invert(latent, output, timestep)[0]

        torch.testing.assert_close(stepped, _tensor(_DDIM[f"{name}.{prediction}.sample"][n]), rtol=0, atol=1e-12)
        torch.testing.assert_close(inverted, _tensor(_DDIM[f"{name}.{prediction}.invert"][n]), rtol=0, atol=1e-12)


@pytest.mark.parametrize("offset", [0, 1])
def test_ten_timesteps_there_and_back_are_the_published_ones(offset: int) -> None:
    schedule = _schedule(10, offset)
    trace = [_tensor(_DDIM["chain_latent"])]
    for timestep, output in zip(reversed(schedule.timesteps), _DDIM["chain_inversion_outputs"], strict=True):
        trace.append(schedule.invert(trace[-1], _tensor(output), timestep))
    path = [trace[-1]]
    outputs = zip(_DDIM["chain_uncond_outputs"], _DDIM["chain_cond_outputs"], strict=True)
    for timestep, (unconditional, conditional) in zip(schedule.timesteps, outputs, strict=True):
        output = guided(_tensor(unconditional), _tensor(conditional), 7.5)
        path.append(schedule.step(path[-1], output, timestep))

    assert tuple(reversed(schedule.timesteps)) == tuple(_DDIM[f"chain_offset{offset}.told"])
    torch.testing.assert_close(torch.stack(trace), _tensor(_DDIM[f"chain_offset{offset}.trace"]), rtol=0, atol=1e-10)
    torch.testing.assert_close(torch.stack(path), _tensor(_DDIM[f"chain_offset{offset}.path"]), rtol=0, atol=1e-10)


@pytest.mark.parametrize("prediction", Prediction)
@pytest.mark.parametrize(("offset", "identity"), [(0, True), (1, False)])
def test_the_last_timestep_is_idle_at_offset_nought_alone(
    offset: int, *, identity: bool, prediction: Prediction
) -> None:
    schedule = _schedule(50, offset, prediction)
    latent, output = _tensor(_DDIM["latent"]), _tensor(_DDIM["output"])

    stepped = schedule.step(latent, output, schedule.timesteps[-1])

    assert torch.allclose(stepped, latent, rtol=0, atol=1e-12) is identity


@pytest.mark.parametrize("prediction", Prediction)
def test_inverting_undoes_a_step_of_the_same_noise(prediction: Prediction) -> None:
    """With one noise for both; for v-prediction the output that means it differs between the two levels."""
    schedule = _schedule(50, 1, prediction)
    clean, noise = _tensor(_DDIM["latent"]), _tensor(_DDIM["output"])
    timestep = schedule.timesteps[20]
    here, there = (schedule.noised(clean, noise, t) for t in (timestep, timestep - schedule.stride))

    def means(at: int) -> torch.Tensor:
        alpha = schedule.alpha(at)
        return noise if prediction is Prediction.EPSILON else alpha**0.5 * noise - (1 - alpha) ** 0.5 * clean

    torch.testing.assert_close(schedule.step(here, means(timestep), timestep), there)
    torch.testing.assert_close(schedule.invert(there, means(timestep - schedule.stride), timestep), here)


def test_without_an_unconditional_output_guidance_changes_nothing() -> None:
    conditional = _tensor(_DDIM["output"])

    assert torch.equal(guided(None, conditional, 1.0), conditional)


@pytest.mark.parametrize(
    "change", [{"beta_schedule": "linear"}, {"trained_betas": [0.1]}, {"rescale_betas_zero_snr": True}]
)
def test_another_noise_schedule_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="scaled_linear"):
        Schedule.from_config({**_CONFIG, **change}, 50)


@pytest.mark.parametrize("timesteps", [0, 1001])
def test_more_timesteps_than_the_model_was_trained_on_are_refused(timesteps: int) -> None:
    with pytest.raises(ValueError, match="between 1 and 1000"):
        Schedule.from_config(_CONFIG, timesteps)


@pytest.mark.parametrize("prediction", Prediction)
def test_the_right_answer_gives_the_clean_latent_back(prediction: Prediction) -> None:
    schedule, generator = _schedule(50, 1, prediction), torch.Generator().manual_seed(0)
    clean, noise = (torch.randn(4, 8, 8, generator=generator, dtype=torch.float64) for _ in range(2))

    for timestep in (1, 500, 999):
        answer = schedule.answer(clean, noise, timestep)
        found = schedule.clean(schedule.noised(clean, noise, timestep), answer, timestep)
        torch.testing.assert_close(found, clean, rtol=0, atol=1e-10)

"""A tiny random model for every test here, with the shapes written in `core.diffusion` checked at every call."""

from pathlib import Path

import pytest
import torch
from jaxtyping import install_import_hook

# Only what is imported after this is checked.
install_import_hook("core.diffusion", "beartype.beartype")

from core.diffusion.backbone import Backbone  # noqa: E402
from core.diffusion.driver import drive  # noqa: E402
from core.diffusion.inversion.inversion import Inversion  # noqa: E402
from core.diffusion.inversion.stylediffusion import invert_stylediffusion  # noqa: E402
from core.diffusion.inversion.trace import Subject  # noqa: E402
from core.diffusion.schedule import Schedule  # noqa: E402
from core.domain.inversion_specs import StyleDiffusionSpec  # noqa: E402
from tests.diffusion.tiny import save_tiny_model, tiny_subject  # noqa: E402


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random model on disk."""
    return save_tiny_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def backbone(tiny_folder: Path) -> Backbone:
    """The random model in float64."""
    return Backbone(tiny_folder, image_encoder=None, dtype=torch.float64)


@pytest.fixture(scope="session")
def subject(backbone: Backbone) -> Subject:
    """A random picture of "a red circle on grass"."""
    return tiny_subject(backbone)


@pytest.fixture(scope="session")
def schedule(backbone: Backbone) -> Schedule:
    """Four timesteps."""
    return backbone.schedule(4)


@pytest.fixture(scope="session")
def inversion(backbone: Backbone, subject: Subject, schedule: Schedule) -> Inversion:
    """A StyleDiffusion inversion of the picture, at guidance 3."""
    spec = StyleDiffusionSpec(timesteps=4, guidance=3.0, inner_steps=2)
    return drive(invert_stylediffusion(spec, subject, schedule, seed=0), backbone)

"""The frozen networks of a model: encoding, decoding, and what is refused at loading."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import CLIPImageProcessor, CLIPTextModel, CLIPTokenizer, CLIPVisionModelWithProjection

from core.diffusion.backbone import Backbone, Rgb
from core.diffusion.driver import drive
from core.diffusion.inversion.ddim import invert_ddim
from core.diffusion.inversion.trace import Subject
from core.domain.inversion_specs import DdimSpec
from core.pocket.render import render
from core.pocket.scenes import Background, Colour, Scene, SceneObject, Shape, Size, Texture
from core.pocket.weights import model_path
from tests.diffusion.tiny import save_tiny_model

_SENTENCE = "a red circle on grass"


@pytest.fixture(scope="module")
def pocket() -> Backbone:
    return Backbone(model_path(), image_encoder=None, dtype=torch.float32)


@pytest.fixture(scope="module")
def picture() -> Rgb:
    """A drawn scene, which the pocket model knows."""
    thing = SceneObject(Shape.CIRCLE, Colour.RED, Texture.PLAIN, Size.LARGE)
    return render(Scene(objects=(thing,), background=Background.GRASS)).image


def test_a_drawn_picture_comes_back_from_its_latent(pocket: Backbone, picture: Rgb) -> None:
    latent = pocket.encode_image(picture)

    back = pocket.decode(latent)

    assert latent.shape == (4, pocket.latent_side, pocket.latent_side)
    assert back.shape == picture.shape == (pocket.resolution, pocket.resolution, 3)
    assert back.dtype == np.uint8
    error = np.square(back.astype(float) - picture).mean()
    assert 10 * np.log10(255**2 / error) > 22


def test_a_text_is_encoded_as_by_transformers(pocket: Backbone) -> None:
    ids = CLIPTokenizer.from_pretrained(model_path() / "tokenizer")(
        _SENTENCE, padding="max_length", return_tensors="pt"
    ).input_ids
    theirs = CLIPTextModel.from_pretrained(model_path() / "text_encoder", dtype=torch.float32)

    ours = pocket.encode_text(pocket.vocabulary.parse(_SENTENCE))

    torch.testing.assert_close(ours, theirs(ids).last_hidden_state[0], rtol=0, atol=1e-5)


def test_image_features_are_all_tokens_behind_the_last_norm(pocket: Backbone, picture: Rgb) -> None:
    processor = CLIPImageProcessor.from_pretrained(model_path() / "feature_extractor")
    pixels = processor(Image.fromarray(picture), return_tensors="pt").pixel_values
    theirs = CLIPVisionModelWithProjection.from_pretrained(model_path() / "image_encoder", dtype=torch.float32)
    tower = theirs.vision_model

    ours = pocket.image_features(picture)

    expected = tower.post_layernorm(tower(pixels).last_hidden_state)[0]
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-4)


def test_at_guidance_one_a_drawn_picture_comes_back_from_noise(pocket: Backbone, picture: Rgb) -> None:
    subject = Subject(
        latent=pocket.encode_image(picture),
        source=pocket.encode_text(pocket.vocabulary.parse(_SENTENCE)),
        null=pocket.encode_text(pocket.vocabulary.parse("")),
        features=pocket.image_features(picture),
    )

    inversion = drive(invert_ddim(DdimSpec(timesteps=10, guidance=1.0), subject, pocket.schedule(10)), pocket)

    error = (inversion.path[-1] - subject.latent).square().mean().sqrt()
    assert error < 0.2 * subject.latent.square().mean().sqrt()


def test_latents_follow_the_models_own_noise_schedule(pocket: Backbone) -> None:
    assert pocket.schedule(50).timesteps[:2] == (981, 961)


def test_an_image_encoder_of_another_width_is_refused(tmp_path: Path) -> None:
    folder = save_tiny_model(tmp_path, image_width=24)

    with pytest.raises(ValueError, match=r"width is 24 and the text's 16.*IMAGE_ENCODER"):
        Backbone(folder, image_encoder=None, dtype=torch.float32)


def test_the_image_encoder_may_come_from_elsewhere(tmp_path: Path, tiny_folder: Path, picture: Rgb) -> None:
    """Its own preprocessing comes with it; without a file that is CLIP's."""
    misfit = save_tiny_model(tmp_path, image_width=24)

    backbone = Backbone(misfit, image_encoder=tiny_folder / "image_encoder", dtype=torch.float32)

    assert backbone.image_features(picture).shape == (5, 16)


def test_a_unet_that_attends_in_another_way_is_refused(tmp_path: Path) -> None:
    blocks = {
        "down_block_types": ("AttnDownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "AttnUpBlock2D"),
    }
    folder = save_tiny_model(tmp_path, blocks)

    with pytest.raises(ValueError, match="group_norm, residual_connection: not a SD"):
        Backbone(folder, image_encoder=None, dtype=torch.float32)

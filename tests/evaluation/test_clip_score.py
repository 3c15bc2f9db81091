"""The two CLIP scores, and the model behind them."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from transformers import CLIPModel

from core.domain.errors import ErrorCode, InputError
from core.domain.prompts import Vocabulary
from core.evaluation.clip_score import ClipPair, clip_score, clip_score_hessel
from core.pocket.render import render
from core.pocket.scenes import Background, Colour, Scene, SceneObject, Shape, Size, Texture, caption
from core.pocket.weights import model_path

PICTURE = np.full((4, 4, 3), 200, dtype=np.uint8)


@dataclass
class FakeClip:
    """Answers with one cosine and keeps what it was asked."""

    answer: float
    pictures: list[NDArray[np.uint8]] = field(default_factory=list)
    sentences: list[str] = field(default_factory=list)

    def cosine(self, picture: NDArray[np.uint8], sentence: str) -> float:
        self.pictures.append(picture)
        self.sentences.append(sentence)
        return self.answer


@pytest.fixture(scope="module")
def pocket() -> ClipPair:
    model = model_path()
    return ClipPair.load(
        model / "clip", name="pocket-clip", tokenizer=model / "tokenizer", preprocessor=model / "feature_extractor"
    )


def test_the_two_scores_of_one_cosine_differ() -> None:
    clip = FakeClip(0.312)

    assert clip_score(PICTURE, "a cat", clip) == pytest.approx(31.2)
    assert clip_score_hessel(PICTURE, "a cat", clip) == pytest.approx(0.78)


def test_only_hessels_score_puts_words_before_the_sentence() -> None:
    clip = FakeClip(0.3)
    clip_score(PICTURE, "a cat", clip)
    clip_score_hessel(PICTURE, "a cat", clip)

    assert clip.sentences == ["a cat", "A photo depicts a cat"]


def test_no_score_is_below_nought() -> None:
    assert clip_score(PICTURE, "a cat", FakeClip(-0.2)) == 0
    assert clip_score_hessel(PICTURE, "a cat", FakeClip(-0.2)) == 0


def test_a_region_leaves_the_rest_black() -> None:
    clip = FakeClip(0.3)
    region = np.zeros((4, 4), dtype=np.bool_)
    region[1, 2] = True
    clip_score(PICTURE, "a cat", clip, region=region)

    assert clip.pictures[0][1, 2].tolist() == [200, 200, 200]
    assert clip.pictures[0].sum() == 600


def test_the_cosine_is_that_of_the_models_own_logits(pocket: ClipPair) -> None:
    scene = Scene(Background.GRASS, (SceneObject(Shape.CIRCLE, Colour.RED, Texture.PLAIN, Size.LARGE),))
    image, sentence = render(scene).image, caption(scene)
    model: Any = CLIPModel.from_pretrained(model_path() / "clip")
    model.float().eval()
    ids = Vocabulary.load(model_path() / "tokenizer").parse(sentence).ids
    pixels = torch.from_numpy(image / 127.5 - 1).permute(2, 0, 1)[None].float()  # 64 pixels, mean and deviation ½
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([ids]), pixel_values=pixels).logits_per_text
        expected = float(logits / model.logit_scale.exp())

    assert pocket.cosine(image, sentence) == pytest.approx(expected, abs=1e-5)
    assert expected > 0.5


def test_the_right_sentence_scores_above_a_wrong_one(pocket: ClipPair) -> None:
    scene = Scene(Background.SNOW, (SceneObject(Shape.SQUARE, Colour.BLUE, Texture.PLAIN, Size.LARGE),))
    image = render(scene).image

    assert clip_score(image, "a large blue square on snow", pocket) > clip_score(image, "a red square on grass", pocket)


def test_pictures_of_any_size_are_brought_to_the_encoders(pocket: ClipPair) -> None:
    scene = Scene(Background.SNOW, (SceneObject(Shape.SQUARE, Colour.BLUE, Texture.PLAIN, Size.LARGE),))
    image = render(scene).image
    wide = np.pad(image.repeat(2, 0).repeat(2, 1), ((0, 0), (32, 32), (0, 0)))  # the crop takes the padding off again

    assert pocket.cosine(wide, caption(scene)) == pytest.approx(pocket.cosine(image, caption(scene)), abs=0.02)


def test_a_sentence_too_long_for_the_model_is_refused(pocket: ClipPair) -> None:
    with pytest.raises(InputError) as refused:
        clip_score(PICTURE, "x " * 40, pocket)

    assert refused.value.code is ErrorCode.PROMPT_TOO_LONG

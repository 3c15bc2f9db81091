"""How well a picture answers to a sentence, by CLIP: two published scores, never under one name."""

from pathlib import Path
from typing import Final, Protocol, final

import torch
from torch import Tensor
from transformers import CLIPModel

from core.domain.prompts import Vocabulary
from core.evaluation._networks import Preprocessing, load_network
from core.evaluation._pixels import Region, Rgb, blacked_out

_HESSEL_PREFIX: Final = "A photo depicts "
_HESSEL_WEIGHT: Final = 2.5


class ImageText(Protocol):
    """One space for pictures and sentences."""

    def cosine(self, picture: Rgb, sentence: str) -> float:
        """Cosine of the angle between the two."""
        ...


@final
class ClipPair:
    """A CLIP model."""

    def __init__(self, model: CLIPModel, vocabulary: Vocabulary, preprocessing: Preprocessing, *, name: str) -> None:
        self.name = name
        self._model = model
        self._vocabulary = vocabulary
        self._preprocessing = preprocessing

    @classmethod
    def load(
        cls,
        folder: Path,
        *,
        name: str,
        tokenizer: Path | None = None,
        preprocessor: Path | None = None,
        device: str = "cpu",
    ) -> "ClipPair":
        """Loads a CLIPModel in transformers layout.

        Args:
            folder: holds the weights, and tokenizer and preprocessor files unless given apart.
            name: what the model is called in a result.
            tokenizer: another folder with vocab.json and merges.txt.
            preprocessor: another folder with preprocessor_config.json.
            device: where the model lives.
        """
        model = load_network(CLIPModel, folder, device=device)
        vocabulary = Vocabulary.load(tokenizer or folder)
        return cls(model, vocabulary, Preprocessing.load(preprocessor or folder), name=name)

    @torch.no_grad()
    def cosine(self, picture: Rgb, sentence: str) -> float:
        """Cosine of the angle between a picture and a sentence.

        Raises:
            InputError: PROMPT_TOO_LONG; the published scorers cut a long sentence silently.
        """
        device = self._model.device
        ids = torch.tensor([self._vocabulary.parse(sentence).ids], device=device)
        text: Tensor = self._model.get_text_features(ids).pooler_output  # after the projection, as is the image's
        image: Tensor = self._model.get_image_features(self._preprocessing(picture, device)).pooler_output
        return float(torch.cosine_similarity(text, image).clamp(-1, 1))


def clip_score(picture: Rgb, sentence: str, clip: ImageText, *, region: Region | None = None) -> float:
    """100·cos, not below 0: the score of torchmetrics and PIE-Bench.

    Args:
        region: everything outside it is black, the sentence stays whole: PIE-Bench's "edited" score.
    """
    return 100 * max(clip.cosine(blacked_out(picture, region), sentence), 0.0)


def clip_score_hessel(picture: Rgb, sentence: str, clip: ImageText) -> float:
    """2.5·max(cos, 0) of "A photo depicts " + sentence: the CLIPScore, published with ViT-B/32.

    Source: Hessel et al. 2021, arXiv 2104.08718, section 3.
    """
    return _HESSEL_WEIGHT * max(clip.cosine(picture, _HESSEL_PREFIX + sentence), 0.0)

"""Pictures a person looks at: where each word of a prompt acts, and images side by side."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import PIL.Image
from PIL import ImageDraw

from core.images import Image

_TILE = 192  # pixels; small enough for a row of words on a screen
_CAPTION = 20  # pixels
_GAP = 4  # pixels


def attention_sheet(image: Image, words: Sequence[str], maps: npt.NDArray[np.float32]) -> Image:
    """The image once per word, lit where the word acts.

    Args:
        image: [h, w, 3].
        words: n words.
        maps: [n, side, side], any scale; each is stretched to its own maximum.
    """
    return contact_sheet([[_lit(image, word_map) for word_map in maps]], [list(words)])


def contact_sheet(rows: Sequence[Sequence[Image]], captions: Sequence[Sequence[str]]) -> Image:
    """Images in rows, each over its caption, on white."""
    width = max(len(row) for row in rows) * (_TILE + _GAP) + _GAP
    sheet = PIL.Image.new("RGB", (width, len(rows) * (_TILE + _CAPTION + _GAP) + _GAP), "white")
    draw = ImageDraw.Draw(sheet)
    for y, (row, texts) in enumerate(zip(rows, captions, strict=True)):
        top = _GAP + y * (_TILE + _CAPTION + _GAP)
        for x, (image, text) in enumerate(zip(row, texts, strict=True)):
            left = _GAP + x * (_TILE + _GAP)
            sheet.paste(_tile(image), (left, top))
            draw.text((left, top + _TILE + 4), text[:32], fill="black")
    return np.array(sheet)


def _tile(image: Image) -> PIL.Image.Image:
    # Small drawn images keep their pixels, photographs are smoothed.
    enlarged = max(image.shape[:2]) < _TILE
    method = PIL.Image.Resampling.NEAREST if enlarged else PIL.Image.Resampling.LANCZOS
    return PIL.Image.fromarray(image).resize((_TILE, _TILE), method)


def _lit(image: Image, word_map: npt.NDArray[np.float32]) -> Image:
    height, width = image.shape[:2]
    scaled = word_map / max(float(word_map.max()), 1e-12)
    light = PIL.Image.fromarray(scaled.astype(np.float32)).resize((width, height), PIL.Image.Resampling.BILINEAR)
    weight = np.asarray(light)[..., None].clip(0, 1)
    # Dark where the word does nothing, the image's own colours under a warm light where it acts.
    warm = np.array([255.0, 190.0, 60.0])
    shown = image * (0.25 + 0.45 * weight) + warm * 0.3 * weight
    return np.asarray(shown.clip(0, 255).astype(np.uint8))

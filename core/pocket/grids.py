"""Sheets of pictures with their captions, to be looked at."""

from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

_COLUMNS: Final = 8
_SCALE: Final = 2
_LINE: Final = 11  # pixels for a line of caption
_LINES: Final = 3


def pixels_of(images: list[NDArray[np.uint8]]) -> Tensor:
    """Drawn pictures as networks take them: [n, 3, side, side] in [-1, 1]."""
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 127.5 - 1


def save_grid(images: Tensor, captions: list[str], file: Path) -> None:
    """Write a sheet of pictures [n, 3, side, side] in [-1, 1], eight to a row, each twice its size over its caption."""
    side = images.shape[-1] * _SCALE
    cell = side + _LINES * _LINE + 4
    rows = -(-len(images) // _COLUMNS)
    sheet = Image.new("RGB", (_COLUMNS * (side + 4), rows * cell), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=10)
    values = ((images + 1) * 127.5).round().clamp(0, 255).byte().permute(0, 2, 3, 1).numpy()
    for place, (picture, text) in enumerate(zip(values, captions, strict=True)):
        x, y = place % _COLUMNS * (side + 4), place // _COLUMNS * cell
        sheet.paste(Image.fromarray(picture).resize((side, side), Image.Resampling.NEAREST), (x, y))
        pen.multiline_text((x, y + side + 1), _wrap(text), fill="black", font=font, spacing=0)
    sheet.save(file)


def _wrap(text: str, width: int = 26) -> str:
    lines = [""]
    for word in text.split():
        if len(lines[-1]) + len(word) >= width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return "\n".join(lines[:_LINES])

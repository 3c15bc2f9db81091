"""Items of a large batch: edits of drawn scenes, and among them some with one thing wrong each."""

import base64
import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from struct import pack
from typing import Any, Final, final

import numpy as np

from core.domain.errors import ErrorCode
from core.images import to_png
from core.pocket.render import render
from core.pocket.scenes import Attribute, Colour, caption, sample_scene, with_attribute

Line = Mapping[str, Any]

_PNG: Final = b"\x89PNG\r\n\x1a\n"


@final
@dataclass(frozen=True, slots=True)
class Scene:
    """A picture, its sentence, and the sentences of its edits: another colour each."""

    picture: bytes
    source_prompt: str
    target_prompts: tuple[str, ...]


@final
@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that can be wrong with an item, and the code that says so."""

    code: ErrorCode
    spoil: Callable[[Line], bytes]


@final
@dataclass(frozen=True, slots=True)
class Item:
    """One line of a batch; no `code` where nothing is wrong with it."""

    line: bytes
    code: ErrorCode | None = None


def draw_scenes(count: int, *, seed: int) -> list[Scene]:
    """Scenes with one object, no two alike; another seed draws others."""
    rng = np.random.default_rng(seed)
    scenes = []
    for _ in range(count):
        scene = sample_scene(rng, objects=1)
        others = [colour for colour in Colour if colour is not scene.objects[0].colour]
        targets = tuple(caption(with_attribute(scene, Attribute.COLOUR, colour)) for colour in others)
        scenes.append(Scene(to_png(render(scene).image), caption(scene), targets))
    return scenes


def make_items(count: int, scenes: Sequence[Scene], image_ids: Sequence[str], *, bad: int) -> list[Item]:
    """Edits that take the scenes in turns; `bad` of them, spread evenly, have the faults in turns."""
    faults = list(FAULTS.values())
    places = {(2 * n + 1) * count // (2 * bad): faults[n % len(faults)] for n in range(bad)}
    items = []
    for number in range(count):
        turn, which = divmod(number, len(scenes))
        scene = scenes[which]
        line = {
            "custom_id": f"item-{number}",
            "image": {"id": image_ids[which]},
            "source_prompt": scene.source_prompt,
            "target_prompt": scene.target_prompts[turn % len(scene.target_prompts)],
        }
        fault = places.get(number)
        items.append(Item(json.dumps(line).encode()) if fault is None else Item(fault.spoil(line), fault.code))
    return items


def envelope(timesteps: int) -> bytes:
    """The first line: every item is inverted by `ddim`, which learns nothing."""
    inversion = {"method": "ddim", "parameters": {"timesteps": timesteps}}
    return json.dumps({"batch": {"defaults": {"inversion": inversion}}}).encode()


def _with(**changes: Any) -> Callable[[Line], bytes]:
    return lambda line: json.dumps({**line, **changes}).encode()


def _cut_off(line: Line) -> bytes:
    return json.dumps(line).encode()[:-1]


def _base64(data: bytes) -> dict[str, str]:
    return {"base64": base64.b64encode(data).decode()}


def _png_header(width: int, height: int) -> bytes:
    """All of a picture but its pixels: no reader may ask for more before it refuses the size."""
    content = b"IHDR" + pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return _PNG + pack(">I", len(content) - 4) + content + pack(">I", zlib.crc32(content))


_NOWHERE: Final = "0" * 26

FAULTS: Final[Mapping[str, Fault]] = {
    "an unreadable image": Fault(ErrorCode.IMAGE_UNREADABLE, _with(image=_base64(b"no picture"))),
    "an image too large": Fault(ErrorCode.IMAGE_TOO_LARGE, _with(image=_base64(_png_header(16_000, 16_000)))),
    "an unknown image": Fault(ErrorCode.NOT_FOUND, _with(image={"id": f"img_{_NOWHERE}"})),
    "a URL that may not be fetched": Fault(ErrorCode.URL_BLOCKED, _with(image={"url": "https://127.0.0.1/a.png"})),
    "an unknown inversion": Fault(
        ErrorCode.NOT_FOUND, _with(inversion_id=f"inv_{_NOWHERE}", image=None, source_prompt=None)
    ),
    "a word that is not in the prompt": Fault(
        ErrorCode.WORD_NOT_IN_PROMPT, _with(parameters={"reweight": {"dragon": 2.0}})
    ),
    "a prompt too long": Fault(ErrorCode.PROMPT_TOO_LONG, _with(target_prompt="a large red circle on grass " * 20)),
    "prompts that cannot be aligned": Fault(
        ErrorCode.PROMPTS_NOT_ALIGNED, _with(target_prompt="grass", parameters={"cross_rule": "replace"})
    ),
    "a parameter out of bounds": Fault(ErrorCode.VALIDATION, _with(parameters={"self_window": 7.0})),
    "a name given twice": Fault(ErrorCode.VALIDATION, _with(custom_id="item-0")),
    "a line cut off": Fault(ErrorCode.MALFORMED_JSON, _cut_off),
}

"""`python -m core.pocket.evaluate [--model DIR]`: every figure of the model card, against its target."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

import click
import numpy as np
import torch
import torch.nn.functional as F
from rich.console import Console
from rich.table import Table
from torch import Tensor

from core.domain.catalogue import CARD
from core.pocket.grids import pixels_of, save_grid
from core.pocket.judge import Judge, Reading
from core.pocket.render import render
from core.pocket.sampling import Pocket
from core.pocket.scenes import Attribute, Scene, Size, Style, Texture, attribute_of, caption, sample_scene, word_owners
from core.pocket.weights import model_path

# Streams of scenes that no training has seen, one for each question.
_SEEDS: Final = {"drawn": 2_000_003, "single": 2_000_029, "pair": 2_000_039, "striped": 2_000_081}
_BATCH: Final = 32
_TIMESTEPS: Final = 50
_SIDE_OF_MAPS: Final = 16
_POINTED_AT: Final = (100, 300, 500, 700)


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number, the least it should be (None: only told), and how many cases it is of."""

    name: str
    value: float
    target: float | None
    cases: int


def held_out(stream: str, count: int, **wanted: object) -> list[Scene]:
    """Scenes of a stream of their own; `wanted` goes to `sample_scene`."""
    rng = np.random.default_rng(_SEEDS[stream])
    return [sample_scene(rng, **wanted) for _ in range(count)]  # type: ignore[arg-type]


def agreement(scenes: list[Scene], readings: list[Reading]) -> dict[Attribute, float]:
    """The share of one-object scenes whose attribute the judge reads right."""
    return {
        attribute: sum(_agrees(*pair, attribute) for pair in zip(scenes, readings, strict=True)) / len(scenes)
        for attribute in Attribute
    }


def measure_autoencoder(model: Pocket, judge: Judge, count: int) -> Iterator[Figure]:
    """How near its outputs are, and whether the judge still reads everything."""
    scenes = held_out("drawn", count, objects=1)
    images = _draw(scenes)
    output = torch.cat([model.decode(model.encode(part)) for part in torch.split(images, _BATCH)])
    quality = 10 * torch.log10(4 / (output - images).square().mean((1, 2, 3)))
    yield Figure("autoencoder PSNR, dB", quality.mean().item(), 31, count)
    yield Figure("autoencoder PSNR, worst, dB", quality.min().item(), None, count)
    for attribute, share in agreement(scenes, judge.read(output)).items():
        yield Figure(f"read after the autoencoder: {attribute}", share, 0.97, count)
    for attribute, share in agreement(scenes, judge.read(images)).items():
        yield Figure(f"read as drawn: {attribute}", share, 0.97, count)


def measure_generation(model: Pocket, judge: Judge, count: int, *, guidance: float, out: Path) -> Iterator[Figure]:
    """Whether pictures made from captions read as asked, one object and two."""
    targets = {
        Attribute.COLOUR: 0.95,
        Attribute.BACKGROUND: 0.95,
        Attribute.SIZE: 0.9,
        Attribute.TEXTURE: 0.9,
        Attribute.SHAPE: 0.85,
        Attribute.STYLE: None,
    }
    scenes = held_out("single", count, objects=1)
    images = _generate(model, scenes, guidance)
    save_grid(images, [caption(scene) for scene in scenes], out / "generated.png")
    for attribute, share in agreement(scenes, judge.read(images)).items():
        yield Figure(f"generated: {attribute}", share, targets[attribute], count)
    yield Figure("generated: CLIP score", _clip_score(model, images, scenes), None, count)
    yield Figure("drawn: CLIP score", _clip_score(model, _draw(scenes), scenes), None, count)
    pairs = held_out("pair", count // 2, objects=2)
    images = _generate(model, pairs, guidance)
    save_grid(images, [caption(scene) for scene in pairs], out / "pairs.png")
    readings = judge.read(images)
    yield Figure("pairs: colours and order", _pairs_right(pairs, readings, "colour"), 0.8, len(pairs))
    yield Figure("pairs: shapes and order", _pairs_right(pairs, readings, "shape"), None, len(pairs))
    yield Figure("pairs: two objects seen", sum(one.count == 2 for one in readings) / len(pairs), None, len(pairs))


def measure_words(model: Pocket, count: int, out: Path) -> Iterator[Figure]:
    """Whether the words of an object look at it: hits of the strongest cell, and attention held inside the mask."""
    scenes = held_out("drawn", count, objects=1)
    captions = [caption(scene) for scene in scenes]
    latents = model.encode(_draw(scenes))
    inside = _masks(scenes)  # [scenes, cells]
    hits, held = [], []
    for timestep in _POINTED_AT:
        maps = model.attention(latents, captions, timestep=timestep, seed=timestep)
        found = torch.stack([one for one in maps if one.shape[1] == _SIDE_OF_MAPS**2]).mean(0)
        words = _object_words(captions, found.shape[-1])
        strongest = inside.gather(1, found.argmax(1))  # [scenes, tokens]
        hits.append((strongest > 0.5).float()[words].mean().item())
        share = (found * words[:, None]).sum(-1)  # [scenes, cells]
        held.append(((share * inside).sum(1) / inside.sum(1)).mean().item())
        yield Figure(f"pointing hit at timestep {timestep}", hits[-1], None, count)
        yield Figure(f"attention inside the mask at timestep {timestep}", held[-1], None, count)
    yield Figure("pointing hit", sum(hits) / len(hits), 0.95, count)
    yield Figure("attention inside the mask", sum(held) / len(held), 0.2, count)
    save_grid(_attention_strip(model, scenes[:12]), captions[:12], out / "attention.png")


def measure_reweighting(model: Pocket, judge: Judge, count: int, *, guidance: float, out: Path) -> Iterator[Figure]:
    """Whether "striped" three times as strong and left out read differently, from the same noise."""
    scenes = [_striped(scene) for scene in held_out("striped", count, objects=1, style=Style.NONE)]
    captions = [caption(scene) for scene in scenes]
    pictures = {factor: _generate(model, scenes, guidance, word="striped", factor=factor) for factor in (0.0, 1.0, 3.0)}
    read = {factor: [one.whole.texture for one in judge.read(images)] for factor, images in pictures.items()}
    for factor, textures in read.items():
        yield Figure(f'"striped" ×{factor:g}: read as striped', textures.count(Texture.STRIPED) / count, None, count)
    changed = sum(less != more for less, more in zip(read[0.0], read[3.0], strict=True))
    yield Figure('"striped" ×3 and ×0 read differently', changed / count, 0.7, count)
    rows = torch.stack([pictures[factor][:8] for factor in (0.0, 1.0, 3.0)]).transpose(0, 1).flatten(0, 1)
    save_grid(rows, [f"{text} x{factor}" for text in captions[:8] for factor in (0, 1, 3)], out / "reweighting.png")


def _agrees(scene: Scene, reading: Reading, attribute: Attribute) -> bool:
    truth = attribute_of(scene, attribute)
    return reading.value(attribute) == (Style.NONE if truth is Style.PHOTO else truth)


def _draw(scenes: list[Scene]) -> Tensor:
    return pixels_of([render(scene).image for scene in scenes])


def _generate(
    model: Pocket, scenes: list[Scene], guidance: float, *, word: str | None = None, factor: float = 1.0
) -> Tensor:
    parts = []
    for first in range(0, len(scenes), _BATCH):
        captions = [caption(scene) for scene in scenes[first : first + _BATCH]]
        factors = None if word is None else _word_factors(model, captions, word, factor=factor)
        parts.append(model.sample(captions, guidance=guidance, timesteps=_TIMESTEPS, seed=first, factors=factors))
    return torch.cat(parts)


def _word_factors(model: Pocket, captions: list[str], word: str, *, factor: float) -> Tensor:
    factors = torch.ones(len(captions), model.tokenizer.model_max_length)
    for row, text in enumerate(captions):
        factors[row, text.split().index(word) + 1] = factor  # after the start token, one token a word
    return factors


def _pairs_right(scenes: list[Scene], readings: list[Reading], name: str) -> float:
    """Both objects right, the first mentioned on the left."""
    right = [
        all(
            getattr(thing, name) == getattr(seen, name)
            for thing, seen in zip(scene.objects, (reading.left, reading.right), strict=True)
        )
        for scene, reading in zip(scenes, readings, strict=True)
    ]
    return sum(right) / len(right)


def _masks(scenes: list[Scene]) -> Tensor:
    """The object's share of each cell of the largest maps."""
    masks = torch.stack([torch.from_numpy(render(scene).masks[0]) for scene in scenes])
    return F.adaptive_avg_pool2d(masks[:, None], _SIDE_OF_MAPS).flatten(1)


def _object_words(captions: list[str], tokens: int) -> Tensor:
    words = torch.zeros(len(captions), tokens, dtype=torch.bool)
    for row, text in enumerate(captions):
        for place, owner in enumerate(word_owners(text), start=1):
            words[row, place] = owner == 0
    return words


def _attention_strip(model: Pocket, scenes: list[Scene]) -> Tensor:
    """Pictures darkened where the object's words do not look."""
    images, captions = _draw(scenes), [caption(scene) for scene in scenes]
    maps = model.attention(model.encode(images), captions, timestep=300, seed=0)
    found = torch.stack([one for one in maps if one.shape[1] == _SIDE_OF_MAPS**2]).mean(0)
    share = (found * _object_words(captions, found.shape[-1])[:, None]).sum(-1).view(-1, _SIDE_OF_MAPS, _SIDE_OF_MAPS)
    light = F.interpolate(share[:, None] / share.amax((1, 2))[:, None, None, None], size=images.shape[-1])
    return (images + 1) * (0.15 + 0.85 * light) - 1


@torch.no_grad()
def _clip_score(model: Pocket, images: Tensor, scenes: list[Scene]) -> float:
    """The mean cosine between pictures and their captions, by the model's own CLIP."""
    clip = model.clip
    vision = clip.visual_projection(clip.vision_model(pixel_values=images).pooler_output)
    tokens = model.tokens([caption(scene) for scene in scenes])
    text = clip.text_projection(clip.text_model(input_ids=tokens).pooler_output)
    return F.cosine_similarity(vision, text).mean().item()


def _striped(scene: Scene) -> Scene:
    """Large and striped: on a small object even a drawn stripe is hard to see."""
    return replace(scene, objects=(replace(scene.objects[0], texture=Texture.STRIPED, size=Size.LARGE),))


def _print(figures: Iterable[Figure], console: Console) -> None:
    table = Table("figure", "value", "target", "", "n")
    for one in figures:
        met = "" if one.target is None else "reached" if one.value >= one.target else "missed"
        table.add_row(
            one.name, f"{one.value:.3f}", "" if one.target is None else f"≥ {one.target:g}", met, str(one.cases)
        )
    console.print(table)


@click.command()
@click.option("--model", "folder", type=click.Path(path_type=Path, exists=True), help="A model. [the packaged one]")
@click.option("--out", type=click.Path(path_type=Path), default=Path("out/pocket"), show_default=True)
@click.option("--n", "count", default=128, show_default=True, help="Scenes for each question.")
@click.option("--guidance", type=float, help="[what the model's own card says]")
@click.option("--threads", default=1, show_default=True, help="CPU threads.")
def main(*, folder: Path | None, out: Path, count: int, guidance: float | None, threads: int) -> None:
    """Measure a pocket model on scenes and captions it has not seen, and draw grids of what it makes."""
    torch.set_num_threads(threads)
    out.mkdir(parents=True, exist_ok=True)
    folder = folder or model_path()
    if guidance is None:
        guidance = float(json.loads((folder / CARD).read_text(encoding="utf-8"))["defaults"]["guidance"])
    model, judge = Pocket.load(folder), Judge.load()
    figures = [
        *measure_autoencoder(model, judge, 4 * count),
        *measure_words(model, count, out),
        *measure_generation(model, judge, count, guidance=guidance, out=out),
        *measure_reweighting(model, judge, count // 4, guidance=guidance, out=out),
    ]
    (out / "figures.json").write_text(json.dumps([asdict(one) for one in figures], indent=1))
    _print(figures, Console(width=110))


if __name__ == "__main__":
    main()

"""`python -m core.evaluation.keys_and_values`: the inputs of keys and values exchanged between two sentences.

The observation StyleDiffusion rests on: keys carry where each word acts, values what it shows.
Source: Li et al. 2023, arXiv 2303.15649, section 1 and figure 4.
"""

from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Final, final

import click
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from core.diffusion.attention.sites import carries_words
from core.diffusion.backbone import Backbone
from core.diffusion.driver import drive
from core.diffusion.inversion.trace import mean_maps
from core.diffusion.requests import Rows, Solver, denoise
from core.diffusion.schedule import Schedule, guided
from core.images import Image, to_png
from core.pictures import contact_sheet
from core.pocket.weights import model_path

# Which of the two sentences feeds the keys, and which the values.
COMBINATIONS: Final = tuple(product((0, 1), (0, 1)))
PAIRS: Final = (
    ("a large red circle on grass", "a large blue star on sand"),
    ("a small yellow square on night", "a large purple heart on snow"),
    ("a small red circle and a small blue star on grass", "a small blue star and a small red circle on grass"),
)
_GUIDANCE: Final = 5.0  # what the pocket model's card recommends
_TIMESTEPS: Final = 15


@final
@dataclass(frozen=True, slots=True, eq=False)
class Exchanged:
    """What the four combinations gave, in the order of `COMBINATIONS`.

    `latents` [4, c, h, w] are sampled each for itself from the same noise. `maps` [4, pixels, tokens] are the mean
    attention maps of the four on one and the same latent, that of the first sentence alone, at every timestep.
    """

    latents: Tensor
    maps: Tensor

    def likeness(self, positions: list[int]) -> tuple[float, float]:
        """How alike (correlation) the maps of these tokens stay when the values change, and when the keys do."""
        first, values_changed, keys_changed, _ = (own[:, positions].flatten() for own in self.maps)
        return _correlation(first, values_changed), _correlation(first, keys_changed)


def sample_exchanged(
    texts: tuple[Tensor, Tensor], null: Tensor, noise: Tensor, *, schedule: Schedule, guidance: float
) -> Solver[Exchanged]:
    """Samples the four combinations of two text embeddings: T calls of twelve rows."""
    count = len(COMBINATIONS)
    keys = torch.stack([texts[key] for key, _ in COMBINATIONS])
    values = torch.stack([texts[value] for _, value in COMBINATIONS])
    nulls, latents, maps = null.expand_as(keys), noise.expand(count, -1, -1, -1), []
    for timestep in schedule.timesteps:
        seen = yield from denoise(
            Rows(
                torch.cat([latents, latents, latents[:1].expand_as(latents)]),
                timestep,
                keys=torch.cat([keys, nulls, keys]),
                values=torch.cat([values, nulls, values]),
                record=carries_words,
            )
        )
        conditional, unconditional, _ = torch.split(seen.output, count)
        latents = schedule.step(latents, guided(unconditional, conditional, guidance), timestep)
        maps.append(mean_maps(seen)[-count:])
    return Exchanged(latents, torch.stack(maps).mean(0))


def exchange(backbone: Backbone, pair: tuple[str, str], *, seed: int, timesteps: int = _TIMESTEPS) -> Exchanged:
    """The four combinations of two sentences on a model."""
    first, second, null = (backbone.encode_text(backbone.vocabulary.parse(text)) for text in (*pair, ""))
    side = backbone.latent_side
    noise = torch.randn(1, 4, side, side, generator=torch.Generator().manual_seed(seed)).to(first)
    schedule = backbone.schedule(timesteps)
    return drive(sample_exchanged((first, second), null, noise, schedule=schedule, guidance=_GUIDANCE), backbone)


def changed_positions(backbone: Backbone, pair: tuple[str, str]) -> list[int]:
    """Positions of the tokens in which two sentences of one length differ."""
    first, second = (backbone.vocabulary.parse(text).ids for text in pair)
    return [n for n, (one, other) in enumerate(zip(first, second, strict=True)) if one != other]


def _correlation(one: Tensor, other: Tensor) -> float:
    return float(torch.corrcoef(torch.stack([one, other]))[0, 1])


@click.command()
@click.option("--out", type=click.Path(path_type=Path), default=Path("out/keys-and-values.png"), show_default=True)
@click.option("--seed", default=0, show_default=True)
@click.option("--threads", default=1, show_default=True, help="CPU threads.")
def main(*, out: Path, seed: int, threads: int) -> None:
    """Draw the exchange on the pocket model, and print how alike the words' maps stay."""
    torch.set_num_threads(threads)
    backbone = Backbone(model_path(), image_encoder=None, dtype=torch.float32)
    table = Table("first sentence", "second sentence", "values exchanged", "keys exchanged")
    rows: list[list[Image]] = []
    for pair in PAIRS:
        found = exchange(backbone, pair, seed=seed)
        table.add_row(*pair, *(f"{value:.2f}" for value in found.likeness(changed_positions(backbone, pair))))
        rows.append([backbone.decode(latent) for latent in found.latents])
    captions = [f"keys of {key + 1}, values of {value + 1}" for key, value in COMBINATIONS]
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(to_png(contact_sheet(rows, [captions] * len(rows))))
    Console().print(table)


if __name__ == "__main__":
    main()

"""Training the judge: drawn images only, softened and tinted as an autoencoder might."""

from collections.abc import Mapping
from typing import Final, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.pocket.judge import LOOKS, JudgeNet, Scores
from core.pocket.scenes import VALUES, Attribute, Scene, Style
from core.pocket.train.data import Drawings
from core.pocket.train.loop import Chance

UNKNOWN: Final = -100  # cross_entropy's label for "do not ask"
_OF_OBJECTS: Final = (Attribute.SHAPE, Attribute.COLOUR, Attribute.TEXTURE, Attribute.SIZE)


@final
class JudgeTask:
    """The judge as a stage of training."""

    name = "judge"
    learning_rate = 2e-3
    averaging = 0.99

    def __init__(self, drawings: Drawings, held_out: Drawings, *, batch: int, device: str) -> None:
        self.model = JudgeNet().to(device)
        self._batch, self._device = batch, device
        self._drawings, self._held_out = drawings, held_out
        self._labels, self._held_out_labels = label(drawings.scenes), label(held_out.scenes)

    @property
    def networks(self) -> tuple[nn.Module, ...]:
        return (self.model,)

    def loss(self, chance: Chance) -> tuple[Tensor, Mapping[str, Tensor]]:
        rows = chance.numpy.integers(len(self._drawings), size=self._batch)
        images = soften(self._drawings.pixels(rows), chance).to(self._device)
        scores = flatten(self.model(images))
        losses = {
            name: F.cross_entropy(scores[name], truth[torch.from_numpy(rows)].flatten().to(self._device))
            for name, truth in self._labels.items()
        }
        total = torch.stack(list(losses.values())).sum()
        return total, {"loss": total.detach()}

    def measure(self) -> Mapping[str, float]:
        images = self._held_out.pixels(slice(None))
        scores = [flatten(self.model(part.to(self._device))) for part in torch.split(images, 256)]
        return {
            name: _share_right(torch.cat([part[name] for part in scores]).cpu(), truth.flatten())
            for name, truth in self._held_out_labels.items()
        }


def label(scenes: tuple[Scene, ...]) -> dict[str, Tensor]:
    """The truth as indices: of the scene [n]; of objects [n, 3], whole only for one object, halves only for two."""
    truth = {str(attribute): torch.full((len(scenes), 3), UNKNOWN) for attribute in _OF_OBJECTS}
    truth["count"] = torch.tensor([len(scene.objects) for scene in scenes])
    backgrounds = tuple(VALUES[Attribute.BACKGROUND])
    truth[Attribute.BACKGROUND] = torch.tensor([backgrounds.index(scene.background) for scene in scenes])
    looks = [Style.NONE if scene.style is Style.PHOTO else scene.style for scene in scenes]
    truth[Attribute.STYLE] = torch.tensor([LOOKS.index(look) for look in looks])
    for row, scene in enumerate(scenes):
        first_region = 0 if len(scene.objects) == 1 else 1
        for region, thing in enumerate(scene.objects, start=first_region):
            for attribute in _OF_OBJECTS:
                truth[attribute][row, region] = tuple(VALUES[attribute]).index(getattr(thing, attribute))
    return truth


def flatten(scores: Scores) -> dict[str, Tensor]:
    """All scores by name, the regions of a picture one after another: [n or n·3, values]."""
    objects = {str(name): values.flatten(0, 1) for name, values in scores.objects.items()}
    return {"count": scores.count, **{str(name): values for name, values in scores.scene.items()}, **objects}


def soften(images: Tensor, chance: Chance) -> Tensor:
    """Blur, tint and grain of random strength, so that a slightly soft picture reads like a sharp one."""
    count = len(images)
    blurred = F.avg_pool2d(F.pad(images, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    images = images.lerp(blurred, chance.uniform(count, 1, 1, 1) * (chance.uniform(count, 1, 1, 1) < 0.6))
    tint = 0.06 * torch.randn(count, 3, 1, 1, generator=chance.torch)
    gain = 1 + 0.08 * torch.randn(count, 3, 1, 1, generator=chance.torch)
    grain = 0.08 * chance.uniform(count, 1, 1, 1) * chance.normal(images)
    return (images * gain + tint + grain).clamp(-1, 1)


def _share_right(scores: Tensor, truth: Tensor) -> float:
    asked = truth != UNKNOWN
    return (scores.argmax(-1) == truth)[asked].float().mean().item()

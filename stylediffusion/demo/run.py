"""The demo from its start to its end: a service of its own, an inversion, three edits, figures."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from rich.console import Console

from core.images import to_png
from core.pocket.render import render
from core.pocket.scenes import Scene, caption
from core.settings import Settings
from stylediffusion.answers import Job
from stylediffusion.client import Client
from stylediffusion.configuration import read_settings
from stylediffusion.demo.report import Made, write_report
from stylediffusion.demo.sample import Wish, draw_sample
from stylediffusion.embedded import Embedded
from stylediffusion.progress import progress_bar

# Whatever the environment says: the demo is about drawn scenes, and about a service without servers.
_SETTINGS: Final[dict[str, Any]] = {
    "database_url": None,
    "redis_url": None,
    "s3_bucket": None,
    "model": "pocket",
    "image_encoder": None,
    "slots": 4,
}


def run_demo(out: Path, *, seed: int, inversion: dict[str, Any]) -> None:
    """Leaves pictures and `report.json` in a folder and prints a table.

    Args:
        out: the folder.
        seed: decides the scene and the edits.
        inversion: parameters other than the defaults.
    """
    console, started = Console(), time.monotonic()
    scene, wishes = draw_sample(seed)
    console.print(f'The picture is "{caption(scene)}". The service starts; its worker loads the model meanwhile.')
    with TemporaryDirectory(prefix="stylediffusion-") as folder, Embedded(_settings(folder), port=0) as service:
        ready = time.monotonic()
        with Client(service.url, service.new_key or "") as client:
            job = client.invert(to_png(render(scene).image), caption(scene), parameters=inversion)
            inverted = _follow(client, job, "inversion", console=console, mind=service.mind)
            edits = _send(client, inverted, wishes)
            edited = [
                _follow(client, edit, f"edit: {wish.short}", console=console, mind=service.mind)
                for edit, wish in zip(edits, wishes, strict=True)
            ]
            made = _fetch(client, scene, inverted, edits=tuple(zip(wishes, edited, strict=True)))
    seconds = {"start": ready - started, "all": time.monotonic() - started}
    write_report(made, out, seconds=seconds, console=console)


def _settings(folder: str) -> Settings:
    return read_settings(data=Path(folder)).model_copy(update=_SETTINGS)


def _send(client: Client, inversion: Job, wishes: Sequence[Wish]) -> list[Job]:
    """All edits at once, as the model's own square: what the model changed is measured, not what was laid back."""
    return [
        client.edit(inversion.id, wish.edit.prompts[1], parameters=wish.parameters, output="model") for wish in wishes
    ]


def _follow(client: Client, job: Job, what: str, *, console: Console, mind: Callable[[], None]) -> Job:
    with progress_bar(console, what) as on_progress:

        def on_reading(read: Job) -> None:
            mind()
            on_progress(read.progress.fraction)

        return client.wait(job, on_progress=on_reading)


def _fetch(client: Client, scene: Scene, inversion: Job, *, edits: tuple[tuple[Wish, Job], ...]) -> Made:
    return Made(
        scene=scene,
        inversion=inversion,
        reconstruction=client.artifact(inversion, "reconstruction"),
        attention=client.artifact(inversion, "attention"),
        edits=tuple((wish, job, client.artifact(job, "image")) for wish, job in edits),
    )

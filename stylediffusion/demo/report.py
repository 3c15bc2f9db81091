"""What the demo shows: pictures, a report, and a table that hides nothing."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

import torch
from rich.console import Console
from rich.table import Table

from core.diffusion.backbone import Backbone
from core.evaluation.psnr import psnr
from core.evaluation.scene_edits import Verdict, reading_as_json
from core.images import Image, read_image, to_png
from core.pictures import contact_sheet
from core.pocket.judge import Judge
from core.pocket.render import render
from core.pocket.scenes import Scene, caption
from core.pocket.weights import model_path
from stylediffusion.answers import Job
from stylediffusion.demo.sample import Wish

_ANSWER: Final = {True: "yes", False: "no"}


@final
@dataclass(frozen=True, slots=True)
class Made:
    """What the service has left."""

    scene: Scene
    inversion: Job
    reconstruction: bytes
    attention: bytes
    edits: tuple[tuple[Wish, Job, bytes], ...]


@final
@dataclass(frozen=True, slots=True)
class _Measured:
    """One edit, read by the judge and compared outside the object's true mask."""

    wish: Wish
    job: Job
    picture: Image
    verdict: Verdict
    background_psnr: float

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.wish.name,
            "target_prompt": self.wish.edit.prompts[1],
            "method": self.job.method,
            "parameters": self.job.parameters,
            "asked": str(self.wish.edit.value),
            "asked_is_read": self.verdict.asked,
            "all_else_is_kept": self.verdict.kept,
            "reading": reading_as_json(self.verdict.reading),
            "background_psnr": self.background_psnr,
            "compute_seconds": self.job.metrics.get("compute_seconds"),
            "warnings": self.job.warnings,
        }


def write_report(made: Made, out: Path, *, seconds: Mapping[str, float], console: Console) -> None:
    """Writes everything into a folder and prints the table."""
    source, reconstruction = render(made.scene).image, read_image(made.reconstruction)
    autoencoded = _autoencoded(source)
    edits = [_measure(*edit, autoencoded=autoencoded) for edit in made.edits]
    out.mkdir(parents=True, exist_ok=True)
    pictures = {"source": source, "reconstruction": reconstruction} | {
        f"edit-{one.wish.name}": one.picture for one in edits
    }
    for name, picture in pictures.items():
        (out / f"{name}.png").write_bytes(to_png(picture))
    (out / "attention.png").write_bytes(made.attention)
    captions = ["source", "reconstruction", *(one.wish.short for one in edits)]
    (out / "comparison.png").write_bytes(to_png(contact_sheet([list(pictures.values())], [captions])))
    report = {
        "source_prompt": caption(made.scene),
        "model": made.inversion.model,
        "seconds": {**seconds, "inversion": made.inversion.metrics.get("compute_seconds")},
        "reconstruction": {
            "psnr_source": psnr(source, reconstruction),
            "psnr_autoencoder": psnr(autoencoded, reconstruction),
        },
        "inversion": {"method": made.inversion.method, "parameters": made.inversion.parameters},
        "edits": [one.as_json() for one in edits],
    }
    (out / "report.json").write_text(json.dumps(report, indent=1))
    _print(report, edits, out, console=console)


def _autoencoded(source: Image) -> Image:
    """The best that any inversion can give back."""
    backbone = Backbone(model_path(), image_encoder=None, dtype=torch.float32)
    return backbone.decode(backbone.encode_image(source))


def _measure(wish: Wish, job: Job, data: bytes, *, autoencoded: Image) -> _Measured:
    picture = read_image(data)
    verdict = wish.edit.judge(Judge.load(), picture)
    return _Measured(wish, job, picture, verdict, psnr(autoencoded, picture, wish.edit.kept_region()))


def _print(report: dict[str, Any], edits: list[_Measured], out: Path, *, console: Console) -> None:
    fidelity, seconds = report["reconstruction"], report["seconds"]
    console.print(
        f"Reconstruction: {fidelity['psnr_autoencoder']:.1f} dB against the autoencoder's own output, "
        f"{fidelity['psnr_source']:.1f} dB against the source; {seconds['inversion']:.0f} seconds."
    )
    table = Table("edit", "asked", "kept", "background", "what the judge reads")
    for one in edits:
        reading = one.verdict.reading
        thing = " ".join(reading_as_json(reading)[name] for name in ("size", "colour", "texture", "shape"))
        table.add_row(
            one.wish.short,
            _ANSWER[one.verdict.asked],
            _ANSWER[one.verdict.kept],
            f"{one.background_psnr:.1f} dB",
            f"{thing} on {reading.background}" + (f", {reading.count} objects" if reading.count != 1 else ""),
        )
    console.print(table)
    right = sum(one.verdict.success for one in edits)
    console.print(f"{right} of {len(edits)} edits are right in every attribute; {seconds['all']:.0f} seconds in all.")
    console.print(
        f"Look at {out / 'comparison.png'} and {out / 'attention.png'}; every figure is in {out / 'report.json'}.",
        soft_wrap=True,
    )

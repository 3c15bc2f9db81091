"""`invert` and `edit`: a picture of the caller's own, through a running service or in this process."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

_FOLDER = click.Path(path_type=Path, file_okay=False)


def _common(command: Callable[..., None]) -> Callable[..., None]:
    options = (
        click.option(
            "--param", "params", multiple=True, metavar="NAME=VALUE", help="`stylediffusion methods` lists them."
        ),
        click.option("--seed", type=click.IntRange(0), default=0, show_default=True),
        click.option("--out", type=_FOLDER, help="Where the files go. [default: out/ID, or out/PHOTO with --local]"),
        click.option("--local", is_flag=True, help="Compute in this process, without a service."),
        click.option("--url", envvar="STYLEDIFFUSION_URL", help="The service. [default: this machine's]"),
        click.option("--key", envvar="STYLEDIFFUSION_KEY", help="Its API key, sk_…; better in STYLEDIFFUSION_KEY."),
        click.option(
            "--data", type=_FOLDER, help="The folder of this machine's service. [default: DATA_DIR, else data]"
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.command()
@click.argument("photo", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--prompt", required=True, help="The sentence that describes the picture.")
@click.option("--method", default="stylediffusion", show_default=True)
@click.option(
    "--fit", type=click.Choice(["crop", "pad"]), default="crop", show_default=True, help="If it is not square."
)
@_common
def invert(*, photo: Path, local: bool, **wish: Any) -> None:
    """Invert PHOTO, so that it can be edited.

    PHOTO is a PNG, JPEG or WebP of any size.
    """
    from stylediffusion.pictures import invert_local, invert_remote

    (invert_local if local else invert_remote)(photo, **wish)


@click.command()
@click.argument("inversion")
@click.option("--target", required=True, help="The sentence that describes the picture as it should become.")
@click.option("--method", help="[default: p2plus, or with --search several]")
@click.option("--search", is_flag=True, help="Try many settings and keep the best.")
@click.option("--count", type=click.IntRange(1, 8), help="Results to keep. [default: 1, or 4 of a search]")
@click.option(
    "--output",
    type=click.Choice(["original", "model"]),
    default="original",
    show_default=True,
    help="In the size of PHOTO, or the model's square.",
)
@_common
def edit(*, inversion: str, local: bool, **wish: Any) -> None:
    """Edit INVERSION by another sentence.

    INVERSION is the id that `invert` printed or, with --local, the folder that it wrote.
    """
    from stylediffusion.pictures import edit_local, edit_remote

    (edit_local if local else edit_remote)(inversion, **wish)

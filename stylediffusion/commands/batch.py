"""`batch`: many edits from a file."""

import sys
from pathlib import Path

import click

_FOLDER = click.Path(path_type=Path, file_okay=False)


@click.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where the results go. [default: FILE with .results.jsonl]",
)
@click.option("--pictures", type=_FOLDER, help="Where the edited pictures go. [default: they are not fetched]")
@click.option("--resume", metavar="ID", help="Follow a batch that was sent before, and write what is missing.")
@click.option("--url", envvar="STYLEDIFFUSION_URL", help="The service. [default: this machine's]")
@click.option("--key", envvar="STYLEDIFFUSION_KEY", help="Its API key, sk_…; better in STYLEDIFFUSION_KEY.")
@click.option("--data", type=_FOLDER, help="The folder of this machine's service. [default: DATA_DIR, else data]")
def batch(
    *,
    file: Path,
    out: Path | None,
    pictures: Path | None,
    resume: str | None,
    url: str | None,
    key: str | None,
    data: Path | None,
) -> None:
    """Make the edits that the lines of FILE ask for.

    Each line is a JSON document with `custom_id`, `image`, `source_prompt` and `target_prompt`.
    """
    from stylediffusion.batches import follow, send
    from stylediffusion.client import Client
    from stylediffusion.configuration import read_settings
    from stylediffusion.connection import find_connection

    with Client(*find_connection(read_settings(data=data).data_dir, url=url, key=key)) as client:
        batch_id = resume or send(client, file)
        click.echo(f"{batch_id} is accepted; `--resume {batch_id}` follows it again.")
        good = follow(client, batch_id, out=out or file.with_suffix(".results.jsonl"), pictures=pictures)
    sys.exit(0 if good else 1)

"""What the command `batch` does: send lines, write results as they come."""

import json
import time
from pathlib import Path
from typing import IO, Any, Final

from rich.console import Console

from stylediffusion.client import Client
from stylediffusion.progress import progress_bar

_PAUSE_SECONDS: Final = 1.0
_UNSAFE: Final = str.maketrans(dict.fromkeys("/\\:\x00", "_"))


def send(client: Client, file: Path) -> str:
    """Sends the pictures that the lines name by path, then the lines; the id of the batch."""
    kept: dict[Path, str] = {}
    lines = [_with_kept_images(client, line, folder=file.parent, kept=kept) for line in file.read_bytes().splitlines()]
    return client.send_batch(b"\n".join(lines)).id


def follow(client: Client, batch_id: str, *, out: Path, pictures: Path | None) -> bool:
    """Writes every result that is not in `out` yet, until the batch has ended; whether all items have succeeded."""
    after = _last_sequence(out)
    console = Console()
    with progress_bar(console, "batch") as on_progress, out.open("a", encoding="utf-8") as file:
        while True:
            # Read before the results, so that nothing can come between the last of them and the end.
            batch = client.get_batch(batch_id)
            for result in client.batch_results(batch_id, after=after):
                after = result["sequence"]
                _keep(client, result, file=file, pictures=pictures)
            on_progress(1 - batch.unfinished / batch.total)
            if batch.state == "ended":
                break
            time.sleep(_PAUSE_SECONDS)
    counts = ", ".join(f"{count} {state}" for state, count in batch.request_counts.items() if count)
    console.print(f"{counts}; the results lie in {out}", markup=False, soft_wrap=True)
    return batch.request_counts["succeeded"] == batch.total


def _with_kept_images(client: Client, line: bytes, *, folder: Path, kept: dict[Path, str]) -> bytes:
    try:
        content = json.loads(line)
        path = folder / content["image"]["path"]
    except (ValueError, KeyError, TypeError):
        return line  # whatever is wrong with it, the service says so
    if path not in kept:
        kept[path] = client.keep_image(path)
    return json.dumps({**content, "image": {"id": kept[path]}}).encode()


def _keep(client: Client, result: dict[str, Any], *, file: IO[str], pictures: Path | None) -> None:
    if pictures is not None and result["state"] == "succeeded":
        pictures.mkdir(parents=True, exist_ok=True)
        name = str(result["custom_id"]).translate(_UNSAFE)
        (pictures / f"{name}.png").write_bytes(client.artifact(result["job_id"], "image"))
    file.write(json.dumps(result, ensure_ascii=False) + "\n")
    file.flush()


def _last_sequence(out: Path) -> int:
    if not out.exists():
        return 0
    return max((json.loads(line)["sequence"] for line in out.read_text(encoding="utf-8").splitlines()), default=0)

"""The command `batch` against a service whose worker is played by the test."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

from core.domain.job import Artifact, JobClass, JobError, JobKind, JobState
from core.domain.ports import Outcome
from core.usecases.attempts import claim_next, finish
from stylediffusion.batches import follow, send
from stylediffusion.client import Client
from tests.cli.conftest import Api, run_command
from tests.stack.submitting import png

FAILED = Outcome(state=JobState.FAILED, error=JobError(code="DIVERGED", detail="Not a number.", retryable=False))


def work(api: Api, outcome: Outcome | None = None) -> None:
    """Does the next job's work."""
    database, model = api.ports.database, api.ports.model
    claim = claim_next(database, lease_seconds=60, classes=tuple(JobClass), model=model)
    assert claim is not None
    key = f"acme/{claim.job.id}"
    api.ports.store.put(key, claim.job.inputs.get("target_prompt", "").encode(), media_type="image/png")
    artifact = Artifact(name="image", media_type="image/png", bytes=6, sha256="0" * 64, key=key)
    done = Outcome(state=JobState.SUCCEEDED, result={}, artifacts=(artifact,))
    ended = outcome if outcome is not None and claim.job.kind is JobKind.EDIT else done
    assert finish(database, claim, ended, retention=timedelta(days=1))


def write_batch(folder: Path, prompts: list[str]) -> Path:
    """A file of edits of one picture beside it."""
    (folder / "photo.png").write_bytes(png())
    defaults = {"source_prompt": "a red circle on grass", "image": {"id": "img_none"}}
    lines: list[object] = [{"batch": {"defaults": defaults}}]
    lines += [
        {"custom_id": f"sku/{number}", "image": {"path": "photo.png"}, "target_prompt": prompt, "seed": number}
        for number, prompt in enumerate(prompts)
    ]
    file = folder / "edits.jsonl"
    file.write_text("\n".join(json.dumps(line) for line in lines))
    return file


def test_a_file_of_edits_is_sent_followed_and_written(api: Api, client: Client, tmp_path: Path) -> None:
    file = write_batch(tmp_path, ["a blue circle on grass", "a green circle on grass"])
    out, pictures = tmp_path / "results.jsonl", tmp_path / "pictures"
    batch_id = send(client, file)

    with ThreadPoolExecutor(1) as pool:
        followed = pool.submit(follow, client, batch_id, out=out, pictures=pictures)
        for _ in range(3):
            work(api)
        good = followed.result()

    assert good
    assert [json.loads(line)["custom_id"] for line in out.read_text().splitlines()] == ["sku/0", "sku/1"]
    assert (pictures / "sku_1.png").read_bytes() == b"a green circle on grass"


def test_a_batch_that_was_left_is_followed_again(api: Api, client: Client, tmp_path: Path) -> None:
    file = write_batch(tmp_path, ["a blue circle on grass", "a green circle on grass"])
    out = tmp_path / "edits.results.jsonl"
    batch_id = send(client, file)
    work(api)
    work(api)
    first = client.batch_results(batch_id)
    out.write_text(json.dumps(first[0]) + "\n")
    work(api, FAILED)

    told = run_command("batch", str(file), "--resume", batch_id, "--url", api.url, "--key", api.key)

    states = [json.loads(line)["state"] for line in out.read_text().splitlines()]
    assert (told.returncode, states) == (1, ["succeeded", "failed"])
    assert f"1 succeeded, 1 failed; the results lie in {out}" in told.stdout

"""The embedded service from end to end: real processes, a killed worker, a stop and a second start; and the demo."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

from core.images import read_image, to_png
from core.pocket.render import render
from core.pocket.scenes import caption
from stylediffusion.answers import Job
from stylediffusion.client import Client
from stylediffusion.connection import find_connection
from stylediffusion.demo.run import run_demo
from stylediffusion.demo.sample import draw_sample
from tests.cli.conftest import run_command
from tests.stack.processes import wait_until

# Long enough to be met in the middle, short enough for a test.
MEDIUM = {"timesteps": 20, "inner_steps": 4}


@contextmanager
def up(folder: Path, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A running `up`, killed at the end if it has not ended."""
    with log.open("w") as file:
        process = _start(folder, file)
        try:
            wait_until(lambda: "Ctrl-C stops it" in log.read_text(), "the service is up")
            yield process
        finally:
            process.kill()
            process.wait()


def _start(folder: Path, log: IO[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "stylediffusion", "up", "--port", "0", "--data", str(folder)],
        env={"PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"},
        stdout=log,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
    )


def pids(pattern: str, folder: Path) -> list[int]:
    """Processes whose command line has a word and whose environment names the folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            command = (entry / "cmdline").read_bytes().split(b"\0")
            environment = (entry / "environ").read_bytes()
        except OSError:
            continue
        if pattern.encode() in command and f"DATA_DIR={folder}\0".encode() in environment + b"\0":
            found.append(int(entry.name))
    return found


def reach_the_middle(client: Client, job: Job) -> None:
    """Returns when a running job is past its trace and has learned something."""
    give_up_at = time.monotonic() + 200  # seconds; a busy machine loads its worker twice in this test
    while client.get(job.id).progress.fraction < 0.6:
        assert time.monotonic() < give_up_at, client.get(job.id)
        time.sleep(0.05)


@pytest.mark.timeout(600)  # twice the usual, for a machine that does other things
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes in /proc")
def test_the_embedded_service_survives_kill_and_stop_and_loses_nothing(tmp_path: Path) -> None:
    folder, log = tmp_path / "data", tmp_path / "log"
    scene, (wish, *_) = draw_sample(0)
    picture, prompt = to_png(render(scene).image), caption(scene)

    with up(folder, log) as service:
        (key,) = re.findall(r"sk_\S+", log.read_text())
        url, saved = find_connection(folder, url=None, key=None)
        second = run_command("up", "--port", "0", "--data", str(folder))
        with Client(url, key) as client:
            job = client.invert(picture, prompt, parameters=MEDIUM)
            reach_the_middle(client, job)
            (worker,) = pids("worker", folder)
            os.kill(worker, signal.SIGKILL)
            inverted = client.wait(job)
            stopped = client.invert(picture, prompt, parameters=MEDIUM | {"learning_rate": 0.02})
            edit = client.edit(stopped.id, wish.edit.prompts[1])
            reach_the_middle(client, stopped)
        service.send_signal(signal.SIGINT)
        status = service.wait(60)
    first_log = log.read_text()

    with up(folder, log) as service, Client(*find_connection(folder, url=None, key=None)) as client:
        resumed, edited = client.wait(client.get(stopped.id)), client.wait(client.get(edit.id))
        shown = run_command(
            "edit", inverted.id, "--target", wish.edit.prompts[1], "--data", str(folder), "--out", str(tmp_path / "out")
        )
        listed = [one.id for one in client.list()]
        service.kill()
        wait_until(lambda: not pids("worker", folder) and not pids("api", folder), "the children end with their parent")

    assert saved == key
    assert (folder / "api-key").stat().st_mode & 0o077 == 0
    assert (second.returncode, second.stderr.count("\n")) == (1, 1)
    assert "Another `stylediffusion up` uses" in second.stderr
    assert (inverted.attempt, len(inverted.metrics) > 0) == (2, True)
    # The second attempt went on where the first one was.
    assert inverted.metrics["unet_backwards"] < 20 * 4
    assert (status, "Traceback" in first_log) == (0, False)
    assert (resumed.attempt, resumed.state, edited.state) == (1, "succeeded", "succeeded")
    assert "sk_" not in log.read_text()
    assert shown.returncode == 0, shown.stderr
    assert read_image((tmp_path / "out" / "image.png").read_bytes()).shape == (64, 64, 3)
    assert len(listed) == len(set(listed)) == 4


def test_the_demo_shows_and_measures_three_edits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_demo(tmp_path, seed=0, inversion={"timesteps": 4, "inner_steps": 1})

    shown = capsys.readouterr().out
    report = json.loads((tmp_path / "report.json").read_text())
    edits = [f"edit-{name}" for name in ("attribute", "object", "word")]
    pictures = {path.stem for path in tmp_path.glob("*.png")}
    assert pictures == {"source", "reconstruction", "attention", "comparison", *edits}
    assert {"psnr_source", "psnr_autoencoder"} == report["reconstruction"].keys()
    assert [edit["asked"] for edit in report["edits"]][2] == "striped"
    assert all(edit["background_psnr"] > 0 and edit["reading"] for edit in report["edits"])
    assert "of 3 edits are right in every attribute" in shown
    assert str(tmp_path / "comparison.png") in shown

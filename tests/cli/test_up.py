"""The embedded service from end to end: real processes, a killed worker, a stop in mid-inversion and a second start."""

import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Final, final

import pytest

from core.images import read_image, to_png
from core.pocket.render import render
from core.pocket.scenes import caption
from stylediffusion.answers import Job
from stylediffusion.client import Client
from stylediffusion.connection import find_connection
from stylediffusion.demo.sample import draw_sample
from tests.cli.conftest import run_command
from tests.stack.processes import wait_until

pytestmark = [
    pytest.mark.timeout(600),  # seconds; twice the usual, for a machine that does other things
    pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds processes in /proc"),
]

# Long enough to be met in the middle, short enough for a test.
MEDIUM: Final = {"timesteps": 20, "inner_steps": 4}
TARGET: Final = draw_sample(0)[1][0].edit.prompts[1]


@final
class Up:
    """`stylediffusion up` on one folder, started and ended by tests."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder.with_suffix(".log")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts it where it does not run, and waits until it says that it is up."""
        if self._process is not None:
            return
        with self.log.open("w") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "stylediffusion", "up", "--port", "0", "--data", str(self.folder)],
                env={"PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        wait_until(lambda: "Ctrl-C stops it" in self.log.read_text(), "the service is up")

    def end(self, number: signal.Signals) -> int:
        """Sends a signal and waits for the exit status."""
        assert self._process is not None
        self._process.send_signal(number)
        status = self._process.wait(120)
        self._process = None
        return status

    def client(self) -> Client:
        """A caller who finds the service as the commands of this machine do."""
        return Client(*find_connection(self.folder, url=None, key=None))

    def children(self, part: str) -> list[int]:
        """The processes of a part, by their command line and their folder."""
        return [
            int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit() and self._owns(entry, part)
        ]

    def _owns(self, entry: Path, part: str) -> bool:
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
            return part.encode() in words and f"DATA_DIR={self.folder}".encode() in (entry / "environ").read_bytes()
        except OSError:  # it has ended meanwhile
            return False


@pytest.fixture(scope="module")
def folder_and_log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """One folder for all tests, as a service has in its life."""
    service = Up(tmp_path_factory.mktemp("up") / "data")
    yield service
    if service._process is not None:
        service.end(signal.SIGKILL)


@pytest.fixture
def service(folder_and_log: Up) -> Up:
    """The service, running."""
    folder_and_log.start()
    return folder_and_log


def invert(client: Client, **parameters: float) -> Job:
    """Begins an inversion of the demo's scene."""
    scene, _ = draw_sample(0)
    return client.invert(to_png(render(scene).image), caption(scene), parameters=MEDIUM | parameters)


def reach_the_middle(client: Client, job: Job) -> None:
    """Returns when a running job is past its trace and has learned something."""
    give_up_at = time.monotonic() + 200  # seconds; a busy machine takes long to load a worker
    while client.get(job.id).progress.fraction < 0.6:
        assert time.monotonic() < give_up_at, client.get(job.id)
        time.sleep(0.05)


def test_the_first_start_shows_a_key_and_keeps_it_for_its_owner(service: Up) -> None:
    (shown,) = re.findall(r"sk_\S+", service.log.read_text())
    kept = service.folder / "api-key"

    assert kept.read_text().strip() == shown
    assert kept.stat().st_mode & 0o077 == 0


def test_it_says_that_it_is_up_when_a_worker_is_ready(service: Up) -> None:
    service.end(signal.SIGKILL)
    service.start()
    url, _ = find_connection(service.folder, url=None, key=None)

    with urllib.request.urlopen(f"{url}/readyz") as answer:
        assert answer.status == 200


def test_a_folder_has_one_service(service: Up) -> None:
    second = run_command("up", "--port", "0", "--data", str(service.folder))

    assert (second.returncode, second.stderr.count("\n")) == (1, 1)
    assert "Another `stylediffusion up` uses" in second.stderr


def test_a_worker_killed_in_mid_inversion_is_replaced_and_the_job_completes_once(service: Up) -> None:
    with service.client() as client:
        job = invert(client)
        reach_the_middle(client, job)
        (worker,) = service.children("worker")
        os.kill(worker, signal.SIGKILL)

        done = client.wait(job)

    assert (done.state, done.attempt) == ("succeeded", 2)
    # The second attempt went on from the first one's checkpoint.
    assert done.metrics["unet_backwards"] < MEDIUM["timesteps"] * MEDIUM["inner_steps"]


def test_a_worker_killed_again_and_again_does_not_end_the_service(service: Up) -> None:
    killed = set[int]()
    for _ in range(5):
        wait_until(lambda: bool(set(service.children("worker")) - killed), "a worker runs")
        (worker,) = set(service.children("worker")) - killed
        killed.add(worker)
        os.kill(worker, signal.SIGKILL)

    with service.client() as client:
        done = client.wait(invert(client, learning_rate=0.03))

    assert done.state == "succeeded"


def test_what_a_stop_interrupts_goes_on_at_the_next_start(service: Up) -> None:
    with service.client() as client:
        job = invert(client, learning_rate=0.02)
        edit = client.edit(job.id, TARGET)
        reach_the_middle(client, job)
    status = service.end(signal.SIGINT)
    first_log = service.log.read_text()

    service.start()
    with service.client() as client:
        edited, inverted = client.wait(edit), client.get(job.id)

    assert (status, "Traceback" in first_log) == (0, False)
    assert (edited.state, inverted.state, inverted.attempt) == ("succeeded", "succeeded", 1)
    assert "sk_" not in service.log.read_text()


def test_pictures_go_through_the_service_by_commands(service: Up, tmp_path: Path) -> None:
    scene, _ = draw_sample(0)
    photo, out, data = tmp_path / "photo.png", tmp_path / "out", ("--data", str(service.folder))
    photo.write_bytes(to_png(render(scene).image))
    quick = ("--method", "ddim", "--param", "timesteps=4", "--out", str(out))

    inverted = run_command("invert", str(photo), "--prompt", caption(scene), *quick, *data)
    (job_id,) = re.findall(r"inv_\w+", inverted.stdout)[:1]
    edited = run_command("edit", job_id, "--target", TARGET, "--out", str(out), *data)

    assert (inverted.returncode, edited.returncode) == (0, 0), inverted.stderr + edited.stderr
    assert "background_psnr" in edited.stdout
    assert read_image((out / "image.png").read_bytes()).shape == (64, 64, 3)


def test_no_process_outlives_a_killed_service(service: Up) -> None:
    running = service.children("api") + service.children("worker")
    service.end(signal.SIGKILL)

    wait_until(lambda: not service.children("api") + service.children("worker"), "they end with their parent")

    assert len(running) == 2

"""Processes that are kept running."""

import os
import sys
import time

import pytest

from core.domain.errors import Unavailable
from stylediffusion import children
from stylediffusion.children import Child


def mind_for_a_minute(child: Child) -> None:
    """What a supervisor does."""
    give_up_at = time.monotonic() + 60
    while time.monotonic() < give_up_at:
        child.mind()
        time.sleep(0.05)


def idle() -> Child:
    """A process that does nothing and does not end by itself, once it has been started again."""
    child = Child("nonsense", environment=os.environ)
    child._command = [sys.executable, "-c", "import time; time.sleep(60)"]
    return child


def kill(child: Child, *, times: int) -> None:
    """Ends it as a job does that takes its worker along; minds it until it runs again."""
    for _ in range(times):
        child._process.kill()
        child._process.wait()
        while child.ended() is not None:
            child.mind()
            time.sleep(0.01)


def test_a_process_that_ends_again_and_again_is_given_up(capfd: pytest.CaptureFixture[str]) -> None:
    child = Child("nonsense", environment=os.environ)

    with pytest.raises(Unavailable, match="The nonsense has ended 4 times in a row, last with status 2"):
        mind_for_a_minute(child)
    child.wait(1)

    assert capfd.readouterr().err.count("No such command 'nonsense'") == 4


def test_a_process_that_has_worked_and_is_killed_again_and_again_is_started_again(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(children, "_MOST_STARTS", 2)
    child = idle()
    child.trust()

    kill(child, times=4)
    ended = child.ended()
    child.wait(0)

    assert ended is None


def test_a_process_that_never_worked_is_given_up_though_it_is_killed(capfd: pytest.CaptureFixture[str]) -> None:
    child = idle()

    with pytest.raises(Unavailable, match="4 times in a row, last with status -9"):
        kill(child, times=4)
    child.wait(1)


def test_a_process_that_has_worked_is_given_up_when_it_cannot_start_any_more(
    capfd: pytest.CaptureFixture[str],
) -> None:
    child = Child("nonsense", environment=os.environ)
    child.trust()

    with pytest.raises(Unavailable, match="The nonsense has ended 4 times in a row, last with status 2"):
        mind_for_a_minute(child)
    child.wait(1)

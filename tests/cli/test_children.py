"""Processes that are kept running."""

import os
import time

import pytest

from core.domain.errors import Unavailable
from stylediffusion.children import Child


def mind_for_a_minute(child: Child) -> None:
    """What a supervisor does."""
    give_up_at = time.monotonic() + 60
    while time.monotonic() < give_up_at:
        child.mind()
        time.sleep(0.05)


def test_a_process_that_ends_again_and_again_is_given_up(capfd: pytest.CaptureFixture[str]) -> None:
    child = Child("nonsense", environment=os.environ)

    with pytest.raises(Unavailable, match="The nonsense has ended 4 times in a row, last with status 2"):
        mind_for_a_minute(child)
    child.wait(1)

    assert capfd.readouterr().err.count("No such command 'nonsense'") == 4

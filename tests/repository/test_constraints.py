"""The file that fixes every version."""

import re
from pathlib import Path

_LINES = (Path(__file__).parents[2] / "constraints.txt").read_text().splitlines()


def test_every_constraint_is_one_version_without_an_address_or_a_local_build() -> None:
    """A build such as `2.13.0+cpu` lies on some machines only."""
    strange = [line for line in _LINES if not re.fullmatch(r"[a-z0-9.-]+==[0-9a-z.]+( ; .+)?", line)]

    assert strange == []

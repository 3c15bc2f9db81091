"""The command line of `make chaos`."""

import pytest
from click.testing import CliRunner

from tests.chaos.__main__ import main
from tests.chaos.defects import Defect


@pytest.mark.parametrize("defect", Defect)
def test_every_defect_can_be_named(defect: Defect) -> None:
    told = CliRunner().invoke(main, ["--defect", defect.value, "--jobs", "0"])

    assert "--jobs" in told.output
    assert "--defect" not in told.output

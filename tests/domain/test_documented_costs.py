"""The page of methods tells the costs that the code announces."""

import re
from pathlib import Path

import pytest

from core.domain.costs import cost_of_inversion
from core.domain.inversion_specs import InversionMethod, resolve_inversion

_PAGE = Path("docs/reference/methods.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("method", InversionMethod)
def test_the_page_of_methods_tells_each_inversions_cost(method: InversionMethod) -> None:
    row = re.search(rf"^\| `{method}` \| (\d+) F(?:, (\d+) B)? \|", _PAGE, re.MULTILINE)

    assert row is not None
    cost = cost_of_inversion(resolve_inversion(method, {}, {}))
    assert (int(row[1]), int(row[2] or 0)) == (cost.unet_forwards, cost.unet_backwards)

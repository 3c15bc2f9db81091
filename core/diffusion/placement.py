"""Where the rows of several row groups stand in one call; a row that groups share stands there once."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float, Int
from torch import Tensor

from core.diffusion.requests import Rows


@final
@dataclass(frozen=True, slots=True, eq=False)
class Placement:
    """A group's place in a call: the call's row for each of its rows, and how many of them it brought itself.

    What it brought are its first rows: shared ones are its last.
    """

    rows: Int[Tensor, " n"]
    brought: Int[Tensor, " own"]

    def taken(self, whole: Float[Tensor, "total ..."]) -> Float[Tensor, "n ..."]:
        """The group's rows of what a call gave; a view where they stand side by side."""
        first, count = int(self.rows[0]), len(self.rows)
        if torch.equal(self.rows, torch.arange(first, first + count)):
            return whole[first : first + count]
        return whole[self.rows.to(whole.device)]


def place_groups(groups: Sequence[Rows]) -> list[Placement]:
    """Places of row groups in a call, one after the other; a shared row stands where the first to bring it put it."""
    known: dict[Hashable, int] = {}
    placements, total = [], 0
    for group in groups:
        count = len(group.latents)
        marks: list[Hashable | None] = [None] * (count - len(group.shared)) + list(group.shared)
        rows, brought = [], []
        for row, mark in enumerate(marks):
            if mark is not None and mark in known:
                rows.append(known[mark])
                continue
            if mark is not None:
                known[mark] = total
            rows.append(total)
            brought.append(row)
            total += 1
        placements.append(Placement(torch.tensor(rows), torch.tensor(brought, dtype=torch.long)))
    return placements

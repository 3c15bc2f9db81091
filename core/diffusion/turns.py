"""Fairness between long inversions and short edits."""

from typing import Final, final

# Rows without a gradient that cost what one with it does: a forward pass, and two on the way back.
DESCENT: Final = 3


@final
class Turns:
    """Whose turn it is: forward passes', until they have done as much work as the descents that wait.

    Work is counted in rows without a gradient, so that it does not depend on the clock.
    """

    def __init__(self) -> None:
        self._ahead = 0  # work that forward passes are ahead by

    def descends(self, *, forwards: int, descents: int) -> bool:
        """Whether descents go next; both are counted in rows."""
        return not forwards or (descents > 0 and self._ahead >= DESCENT * descents)

    def take(self, rows: int, *, descends: bool, others_wait: bool) -> None:
        """Notes a call."""
        if descends:
            self._ahead = max(0, self._ahead - DESCENT * rows)
        elif others_wait:
            self._ahead += rows

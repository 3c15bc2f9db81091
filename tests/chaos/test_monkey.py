"""When the monkey begins to break things."""

from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any, cast

from tests.chaos.ledger import Ledger
from tests.chaos.monkey import Monkey
from tests.chaos.stack import Stack


def _monkey(folder: Path, *, ready: bool) -> Monkey:
    """One of an embedded deployment with one worker, whose every deed is harmless here."""

    def harmless(*_: object) -> None:
        return

    worker = SimpleNamespace(ready=ready, pid=11, signal=harmless, drain=harmless)
    api = SimpleNamespace(setting=SimpleNamespace(trap=folder / "trap"))
    stack: Any = SimpleNamespace(
        servers=None,
        proxy=None,
        workers=[worker],
        apis=[api],
        settings=SimpleNamespace(data_dir=folder),
        pace=SimpleNamespace(lease=6.0, sweep=1.5),
    )
    return Monkey(cast(Stack, stack), Ledger(), Random(1))


def test_nothing_is_broken_before_a_worker_is_ready(tmp_path: Path) -> None:
    monkey = _monkey(tmp_path, ready=False)

    monkey.act()

    assert monkey.deeds == []


def test_the_first_deed_comes_with_the_first_ready_worker(tmp_path: Path) -> None:
    monkey = _monkey(tmp_path, ready=True)

    monkey.act()

    assert len(monkey.deeds) == 1

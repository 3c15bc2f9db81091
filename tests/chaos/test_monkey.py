"""When the monkey begins to break things."""

from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any, cast

from tests.chaos.ledger import Ledger
from tests.chaos.monkey import Monkey
from tests.chaos.stack import Stack


def _harmless(*_: object) -> None:
    return


def test_the_first_deed_comes_with_the_first_ready_worker(tmp_path: Path) -> None:
    worker = SimpleNamespace(ready=False, pid=11, signal=_harmless, drain=_harmless)
    stack: Any = SimpleNamespace(
        servers=None,
        proxy=None,
        workers=[worker],
        apis=[SimpleNamespace(setting=SimpleNamespace(trap=tmp_path / "trap"))],
        settings=SimpleNamespace(data_dir=tmp_path),
        pace=SimpleNamespace(lease=6.0, sweep=1.5),
    )
    monkey = Monkey(cast(Stack, stack), Ledger(), Random(1))

    monkey.act()
    before = list(monkey.deeds)
    worker.ready = True
    monkey.act()  # at once: what was due before was not passed over

    assert before == []
    assert len(monkey.deeds) == 1

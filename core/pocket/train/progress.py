"""What a person sees of a training: one bar per stage on the terminal, every measurement in a log file."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

Track = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class Reporter:
    """Bars to the console, lines to the console and to `log`."""

    console: Console
    log: Path

    def say(self, line: str) -> None:
        """Note one line, with the time of day."""
        stamped = f"{time.strftime('%H:%M:%S')} {line}"
        self.console.print(stamped, highlight=False, markup=False, soft_wrap=True)
        with self.log.open("a") as file:
            file.write(stamped + "\n")

    @contextmanager
    def bar(self, label: str, *, total: float) -> Iterator[Track]:
        """A bar that the yielded function moves to a place between 0 and `total`."""
        columns = (TextColumn("{task.description:10}"), BarColumn(), TaskProgressColumn())
        with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=self.console) as progress:
            task = progress.add_task(label, total=total)
            yield lambda place: progress.update(task, completed=place)

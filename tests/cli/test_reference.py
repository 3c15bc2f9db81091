"""The reference pages say what the code says."""

from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from pydantic_core import PydanticUndefined

from core.evaluation.benchmark_scenes.contenders import PRESETS
from core.settings import Settings
from stylediffusion.cli import cli

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"


def commands(group: click.Group, path: str = "") -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, f"{path}{name} ")
        else:
            yield f"{path}{name}", command


def setting_line(name: str) -> str:
    field = Settings.model_fields[name]
    default = "" if field.default in {None, PydanticUndefined} else f"`{field.default}`"
    return f"| `{name.upper()}` | {default} | {field.description} |"


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_is_told_as_the_code_tells_it(name: str) -> None:
    assert setting_line(name) in (REFERENCE / "command-line.md").read_text()


@pytest.mark.parametrize(("name", "command"), list(commands(cli)), ids=lambda one: one if isinstance(one, str) else "")
def test_every_command_is_told_with_its_options(name: str, command: click.Command) -> None:
    text = (REFERENCE / "command-line.md").read_text()
    (chapter,) = [part for part in text.split("\n## ") if f"\n### `{name}" in part]

    options = [one.opts[0] for one in command.params if isinstance(one, click.Option) and not one.hidden]
    assert [one for one in options if f"`{one}" not in chapter] == []


def test_the_benchmarks_presets_are_told() -> None:
    text = (REFERENCE / "benchmark-scenes.md").read_text()

    for kind, preset in PRESETS.items():
        assert f"| {kind} | {' | '.join(f'{value:g}' for value in preset.values())} |" in text

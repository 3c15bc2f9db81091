"""Commands that answer at once: what they load, and how their failures are told."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from core.domain.errors import AppError
from core.domain.inversion_specs import InversionMethod
from core.domain.tenants import Tenant
from core.settings import Settings
from core.usecases.keys import authenticate
from core.wiring import build_database, migrate
from service.routes.catalogue import list_methods
from stylediffusion.cli import cli
from stylediffusion.listening import listen
from tests.cli.conftest import run_command

HEAVY = ("torch", "celery", "fastapi", "sqlalchemy", "pydantic", "rich", "httpx", "numpy")


def loaded_by(statement: str) -> list[str]:
    """The heavy libraries that a fresh interpreter has loaded after a statement."""
    code = f"{statement}; import sys; print(*(name for name in {HEAVY!r} if name in sys.modules))"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()


def test_the_command_line_itself_loads_no_library_but_click() -> None:
    assert loaded_by("import stylediffusion.cli") == []


def test_the_api_process_loads_no_torch() -> None:
    assert "torch" not in loaded_by("import stylediffusion.processes, service.app, uvicorn")


def test_the_supervisor_loads_no_torch() -> None:
    assert "torch" not in loaded_by("import stylediffusion.embedded")


def test_help_names_every_command() -> None:
    shown = CliRunner().invoke(cli, ["--help"]).output

    assert all(f"\n  {name} " in shown for name in cli.commands)
    assert "...\n" not in shown.split("Commands:")[1]


@pytest.mark.parametrize(
    ("arguments", "environment", "sentence"),
    [
        (("worker",), {"SLOTS": "0"}, "SLOTS: Input should be greater than or equal to 1"),
        (("api", "--port", "0"), {}, "run `stylediffusion migrate`"),
        (("up", "--port", "0"), {"DATABASE_URL": "postgresql://nowhere/x"}, "`up` is the embedded service"),
        (("edit", "inv_1", "--target", "x"), {}, "start one with `stylediffusion up`"),
        (("edit", "nothing", "--target", "x", "--local", "--method", "y"), {}, "There is no method y"),
        (("edit", "inv_1", "--target", "x", "--param", "y", "--url", "u", "--key", "k"), {}, "takes name=value"),
    ],
)
def test_a_failure_is_one_line(
    arguments: tuple[str, ...], environment: dict[str, str], sentence: str, tmp_path: Path
) -> None:
    ended = run_command(*arguments, environment={"DATA_DIR": str(tmp_path), **environment})

    assert ended.returncode == 1
    assert sentence in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_a_port_that_is_taken_is_one_line(tmp_path: Path) -> None:
    with listen("127.0.0.1", 0) as taken:
        ended = run_command("up", "--port", str(taken.getsockname()[1]), environment={"DATA_DIR": str(tmp_path)})

    assert (ended.returncode, ended.stderr.count("\n")) == (1, 1)
    assert "is not to be had" in ended.stderr


def test_a_key_is_exchanged_and_a_tenant_changed(tmp_path: Path) -> None:
    data = ["--data", str(tmp_path)]
    migrate(Settings(data_dir=tmp_path))
    run = CliRunner()
    first = run.invoke(cli, ["keys", "create", "acme", *data]).output.strip()
    key_id = f"key_{first.split('_')[1]}"
    second = run.invoke(cli, ["keys", "rotate", key_id, "--overlap", "0", *data]).output.strip()
    changes = ["--fetch-urls", "--requests-per-minute", "7"]
    assert run.invoke(cli, ["tenants", "set", "acme", *changes, *data]).exit_code == 0
    assert run.invoke(cli, ["tenants", "set", "acme", "--requests-per-minute", "0", *data]).exit_code == 0
    unknown = run.invoke(cli, ["tenants", "set", "none", "--fetch-urls", *data])

    database = build_database(Settings(data_dir=tmp_path))
    assert authenticate(database, second).tenant == Tenant(name="acme", fetch_urls=True)
    with pytest.raises(AppError):
        authenticate(database, first)
    database.close()
    assert unknown.exit_code != 0
    assert "acme" in run.invoke(cli, ["tenants", "list", *data]).output


def test_keys_are_made_listed_and_revoked(tmp_path: Path) -> None:
    migrate(Settings(data_dir=tmp_path))
    run, data = CliRunner(env={"COLUMNS": "200"}), ["--data", str(tmp_path)]

    token = run.invoke(cli, ["keys", "create", "acme", "--name", "shop", "--scope", "jobs:read", *data]).output.strip()
    key_id = f"key_{token.split('_')[1]}"
    before = run.invoke(cli, ["keys", "list", *data]).output
    run.invoke(cli, ["keys", "revoke", key_id, *data])
    after = run.invoke(cli, ["keys", "list", "--tenant", "acme", *data]).output

    assert all(part in before for part in (key_id, "acme", "shop", "jobs:read"))
    assert token not in before
    assert len(after.split()) > len(before.split())


def test_a_scope_that_is_none_is_refused(tmp_path: Path) -> None:
    ended = CliRunner().invoke(cli, ["keys", "create", "acme", "--scope", "everything", "--data", str(tmp_path)])

    assert "there are jobs:read" in ended.output


def test_methods_as_json_are_what_the_service_answers() -> None:
    shown = CliRunner().invoke(cli, ["methods", "--json"]).output

    assert json.loads(shown) == list_methods().model_dump(mode="json")


def test_methods_list_every_parameter_with_its_default() -> None:
    shown = CliRunner(env={"COLUMNS": "200"}).invoke(cli, ["methods"]).output

    assert all(method in shown for method in InversionMethod)
    assert "integer ≥1 ≤500" in shown
    assert "auto | replace | refine" in shown
    assert "{source_words, target_words" in shown

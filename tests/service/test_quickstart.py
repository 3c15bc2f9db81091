"""Every example of the quickstart is run, as it stands, against a whole service."""

import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from core.settings import Settings
from core.usecases.keys import Scope, make_key
from core.wiring import build_database

PAGE = Path("docs/api.md").read_text(encoding="utf-8")
# A block without a caller's name sets the environment, which a test sets by itself.
EXAMPLES = re.findall(r"^```(sh|python) (\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def environment(deployment: tuple[str, Settings], tmp_path: Path) -> dict[str, str]:
    """What the page takes from the environment, for a new tenant."""
    address, settings = deployment
    shutil.copy("docs/images/scene.png", tmp_path)
    database = build_database(settings)
    _, key = make_key(database, tmp_path.name[:60], name="")
    _, admin = make_key(database, "operator", name="", scopes=frozenset({Scope.ADMIN}))
    database.close()
    with socket.create_server(("127.0.0.2", 0)) as free:
        port = free.getsockname()[1]
    hook = {"HOOK": f"http://127.0.0.2:{port}/hook", "PORT": str(port)}
    return {"PATH": os.environ["PATH"], "URL": address, "KEY": key, "ADMIN_KEY": admin, **hook}


def run(caller: str, folder: Path, environment: dict[str, str]) -> str:
    """All that the caller types, in the order of the page; what it prints."""
    scripts: dict[str, list[str]] = {"sh": [], "python": []}
    for language, whose, text in EXAMPLES:
        if whose == caller:
            scripts[language].append(text)
    printed = ""
    for command, parts in (
        (["bash", "-euo", "pipefail"], scripts["sh"]),
        ([sys.executable, "-W", "error"], scripts["python"]),
    ):
        (folder / "example").write_text("\n".join(parts))
        done = subprocess.run(
            [*command, "example"], cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=100
        )
        assert done.returncode == 0, done.stdout + done.stderr
        printed += done.stdout
    return printed


def test_a_product_backend_gets_its_pictures_and_is_told(environment: dict[str, str], tmp_path: Path) -> None:
    printed = run("product", tmp_path, environment)

    assert '"state": "succeeded"' in printed
    assert re.search(r"^job\.succeeded edt_\w+$", printed, re.MULTILINE)
    assert (tmp_path / "edited.png").stat().st_size > 0


def test_an_advertising_platform_gets_its_results_while_they_come(environment: dict[str, str], tmp_path: Path) -> None:
    printed = run("platform", tmp_path, environment)

    assert '["sku-3","failed","The target_prompt_template names' in printed
    assert "sku-3 VALIDATION" in printed
    assert {path.name for path in tmp_path.glob("sku-*.png")} == {"sku-1.png", "sku-2.png"}


def test_an_operator_looks_cancels_retries_and_changes_keys(environment: dict[str, str], tmp_path: Path) -> None:
    printed = run("operator", tmp_path, environment)

    assert '["interactive",' in printed
    assert "stylediffusion_workers 1.0" in printed
    assert '"state": "canceled"' in printed
    assert "that key is gone" in printed


def test_each_kind_of_caller_has_examples_in_both_languages() -> None:
    assert {(language, caller) for language, caller, _ in EXAMPLES} == {
        (language, caller) for language in ("sh", "python") for caller in ("product", "platform", "operator")
    }

"""The web process stays small: it never loads torch."""

import subprocess
import sys

PROGRAM = """
import sys
import service.app, core.settings
service.app.create_app(core.settings.Settings()).openapi()
print(*sorted({"torch", "diffusers", "transformers", "accelerate", "scipy"} & set(sys.modules)))
"""


def test_the_web_process_imports_no_torch() -> None:
    loaded = subprocess.run([sys.executable, "-c", PROGRAM], check=True, capture_output=True, text=True).stdout

    assert loaded.split() == []

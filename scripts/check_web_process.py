"""Imports every module of the web process and fails if that loaded torch or what needs it.

The import contracts prove it for the project's own code; this catches a library that imports torch by itself.
"""

import importlib
import pkgutil
import sys

import service

FORBIDDEN = ("torch", "diffusers", "transformers")


def main() -> int:
    for module in pkgutil.walk_packages(service.__path__, prefix="service."):
        importlib.import_module(module.name)
    loaded = [name for name in FORBIDDEN if name in sys.modules]
    if loaded:
        print(f"The web process loads {', '.join(loaded)}.")
    return bool(loaded)


if __name__ == "__main__":
    sys.exit(main())

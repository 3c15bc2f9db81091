"""Fails where a file or a function is too long to be read at one sitting.

A function of Python is counted without its docstring: from its `def` to its last line.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

FOLDERS = ("core", "scripts", "service", "stylediffusion", "tests", "worker")  # a migration is a list of columns
SUFFIXES = {".py", ".js", ".css", ".html"}
FILE_LINES = 250
TEST_FILE_LINES = 400  # facts stand side by side and are read one at a time
FUNCTION_LINES = 30


def find_long(path: Path) -> Iterator[str]:
    """One sentence for the file and for each function in it that is over its limit."""
    text = path.read_text()
    lines = len(text.splitlines())
    limit = TEST_FILE_LINES if path.name.startswith("test_") else FILE_LINES
    if lines > limit:
        yield f"{path}: {lines} lines, more than {limit}"
    if path.suffix != ".py":
        return
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (length := _length(node)) > FUNCTION_LINES:
            yield f"{path}:{node.lineno}: {node.name} has {length} lines, more than {FUNCTION_LINES}"


def _length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    first = function.body[0]
    has_docstring = ast.get_docstring(function) is not None
    docstring = (first.end_lineno or first.lineno) - first.lineno + 1 if has_docstring else 0
    return (function.end_lineno or function.lineno) - function.lineno + 1 - docstring


def main() -> int:
    paths = sorted(path for folder in FOLDERS for path in Path(folder).rglob("*.*") if path.suffix in SUFFIXES)
    found = [sentence for path in paths for sentence in find_long(path)]
    print(*found, sep="\n", end="\n" if found else "")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())

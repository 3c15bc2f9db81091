"""The check of sizes."""

from pathlib import Path

from scripts.check_sizes import FILE_LINES, FUNCTION_LINES, find_long


def test_a_file_and_a_function_over_the_limit_are_found(tmp_path: Path) -> None:
    path = tmp_path / "long.py"
    path.write_text("def run():\n" + "    pass\n" * FILE_LINES)

    assert len(list(find_long(path))) == 2


def test_a_docstring_is_not_counted(tmp_path: Path) -> None:
    path = tmp_path / "short.py"
    path.write_text('def run():\n    """Fact.\n' + "\n" * FUNCTION_LINES + '    """\n    return 1\n')

    assert list(find_long(path)) == []

"""The check of links in the documentation."""

from pathlib import Path

import pytest

from scripts.check_links import anchors, find_broken


def test_links_to_files_headings_and_the_network_are_good(tmp_path: Path) -> None:
    (tmp_path / "other.md").write_text("# Two words, `code` and τ\n")
    page = tmp_path / "page.md"
    page.write_text(
        "# Top\n[a](other.md) [b](other.md#two-words-code-and-τ) [c](#top) [d](https://example.org/x) "
        '<img src="other.md"> `[e](nowhere)`\n```\n[f](nowhere)\n```\n[g]: other.md\n'
    )

    assert list(find_broken(page)) == []


@pytest.mark.parametrize("link", ["[a](no.md)", "[a](#no)", '<img src="no.png">', "[a]: no.md", '[a](no.md "title")'])
def test_a_link_that_leads_nowhere_is_found(tmp_path: Path, link: str) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"# Top\n\n{link}\n")

    assert len(list(find_broken(page))) == 1


def test_repeated_headings_are_numbered() -> None:
    assert anchors("# Run\n## Run\n## Run\n") == {"run", "run-1", "run-2"}

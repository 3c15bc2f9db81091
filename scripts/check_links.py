"""Fails where a Markdown page of this repository links to a file or a heading that is not there.

Addresses on the network are not asked.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

_FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`[^`\n]*`")
_TARGETS = (
    re.compile(r"\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)"),
    re.compile(r"^\[[^\]]+\]:\s*(\S+)", re.MULTILINE),
    re.compile(r"<(?:img|a)\b[^>]*?\b(?:src|href)=\"([^\"]+)\""),
)
_HEADING = re.compile(r"^#{1,6}\s+(.*?)\s*#*\s*$", re.MULTILINE)
_ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:|//", re.IGNORECASE)


def find_broken(page: Path) -> Iterator[str]:
    """One sentence for each link of the page that leads nowhere."""
    prose = _CODE.sub("", _FENCE.sub("", page.read_text()))
    for target in (found for pattern in _TARGETS for found in pattern.findall(prose)):
        if _ELSEWHERE.match(target):
            continue
        path, _, anchor = unquote(target).partition("#")
        file = page.parent / path if path else page
        if not file.exists():
            yield f"{page}: {target} is not there"
        elif anchor and file.suffix == ".md" and anchor not in anchors(file.read_text()):
            yield f"{page}: {target} names no heading"


def anchors(text: str) -> set[str]:
    """The names by which the headings of a page can be linked to, made as GitHub makes them."""
    names: set[str] = set()
    for heading in _HEADING.findall(_FENCE.sub("", text)):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        name = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        repeated = (f"{name}-{count}" for count in range(1, len(names) + 1))
        names.add(name if name not in names else next(other for other in repeated if other not in names))
    return names


def main() -> int:
    pages = [*sorted(Path().glob("*.md")), *sorted(Path("docs").rglob("*.md"))]
    found = [sentence for page in pages for sentence in find_broken(page)]
    print(*found, sep="\n", end="\n" if found else "")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())

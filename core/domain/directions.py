"""Sentences about two things, whose mean embeddings differ by the direction from one to the other.

Source: Parmar et al. 2023, arXiv 2302.03027, section 3.1.
"""

from typing import Final

# The phrase stands early and late, alone and with a neighbour, so that the mean is bound to no position.
TEMPLATES: Final = (
    "{}",
    "a {}",
    "the {}",
    "one {}",
    "a photo of {}",
    "a photo of a {}",
    "a sketch of a {}",
    "a large {}",
    "a small {}",
)


def sentences_about(phrase: str) -> tuple[str, ...]:
    """The templates filled with a phrase."""
    return tuple(template.format(phrase) for template in TEMPLATES)


def differing_phrases(source: str, target: str) -> tuple[str, str]:
    """The words from the first to the last in which two sentences differ.

    Where one of them has none there, a word that only follows or leads it is taken along on both sides; equal
    sentences are taken whole.
    """
    ours, theirs = source.split(), target.split()
    shorter = min(len(ours), len(theirs))
    if _bare(ours) == _bare(theirs):
        return source, target
    first = next((n for n in range(shorter) if _bare(ours[n : n + 1]) != _bare(theirs[n : n + 1])), shorter)
    tail = range(shorter - first)
    last = next((n for n in tail if _bare(ours[-1 - n :][:1]) != _bare(theirs[-1 - n :][:1])), shorter - first)
    if first == len(ours) - last or first == len(theirs) - last:
        if first > 0:
            first -= 1
        elif last > 0:
            last -= 1
    return " ".join(ours[first : len(ours) - last]), " ".join(theirs[first : len(theirs) - last])


def _bare(words: list[str]) -> list[str]:
    return [word.casefold().strip(".,;:!?") for word in words]

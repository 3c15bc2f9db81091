"""Sentences about what an edit changes, whose mean embeddings differ by the direction of the change.

Source: Parmar et al. 2023, arXiv 2302.03027, section 3.1. The published sets are some thousand sentences about one
word, written by a language model; here they are made by templates that begin as the source prompt does.
"""

from dataclasses import dataclass
from typing import Final, final

TAILS: Final = (
    "",
    " in a photo",
    " in a picture",
    " seen from near",
    " seen from afar",
    " and nothing else",
    " by day",
    " in the evening",
    ", drawn",
    ", painted",
)
"""How the templates go on; what stands before the phrase stays the prompt's, so that the phrase keeps its place.

A direction is added token by token: the mean over sentences that hold the phrase elsewhere would lie on other words.
"""


@final
@dataclass(frozen=True, slots=True)
class Change:
    """A phrase of the source prompt, what takes its place, and the words around it."""

    before: str
    source: str
    target: str
    after: str

    def sentences(self, phrase: str) -> tuple[str, ...]:
        """The prompt with a phrase in this place, and the templates that end differently."""
        start = f"{self.before} {phrase}".strip()
        whole = f"{start} {self.after}".strip()
        return tuple(dict.fromkeys([whole, *(f"{start}{tail}".strip() for tail in TAILS)]))


def find_change(source: str, target: str, *, source_phrase: str | None, target_phrase: str | None) -> Change:
    """What changes between two prompts.

    Args:
        source: the source prompt.
        target: the target prompt.
        source_phrase: what becomes something else; None is what stands from the first word to the last that differ.
        target_phrase: what it becomes; None is the same of the target prompt.
    """
    ours, theirs = source.split(), target.split()
    shorter = min(len(ours), len(theirs))
    first = next((n for n in range(shorter) if _differ(ours[n], theirs[n])), shorter)
    tail = next((n for n in range(shorter - first) if _differ(ours[-1 - n], theirs[-1 - n])), shorter - first)
    before, after = " ".join(ours[:first]), " ".join(ours[len(ours) - tail :])
    if source_phrase is None:
        source_phrase = " ".join(ours[first : len(ours) - tail])
    else:
        before, found, after = (part.strip() for part in source.partition(source_phrase))
        before = before if found else ""
    if target_phrase is None:
        target_phrase = " ".join(theirs[first : len(theirs) - tail])
    return Change(before, source_phrase, target_phrase, after)


def _differ(one: str, other: str) -> bool:
    return one.casefold() != other.casefold()

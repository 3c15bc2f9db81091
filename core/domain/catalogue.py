"""What this deployment can run, read from a model's folder without loading the model."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, final

from core.domain.prompts import Vocabulary

# A file beside model_index.json with what the diffusers layout has no place for; every key is optional.
CARD = "stylediffusion.json"

_SAMPLES = 64  # places read of a large file
_SAMPLE_BYTES = 2**16
_WHOLE_BYTES = 2**26  # a file up to this size is read entirely


@final
@dataclass(frozen=True, kw_only=True)
class Model:
    """One model in the diffusers layout, as far as it can be known without its weights.

    `defaults` stand between a method's own defaults and what the caller gives; `known_words` are all the words the
    model was trained with, or None where nobody can list them; `notice` is what its makers tell about its limits.
    """

    name: str
    revision: str
    path: Path
    resolution_pixels: int
    max_tokens: int
    defaults: dict[str, Any] = field(default_factory=dict)
    known_words: frozenset[str] | None = None
    notice: str = ""

    @property
    def identity(self) -> dict[str, str]:
        """Name and revision, by which jobs and workers find each other."""
        return {"name": self.name, "revision": self.revision}

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The model's tokenizer."""
        return Vocabulary.load(self.path / "tokenizer")

    def unknown_words(self, prompt: str) -> tuple[str, ...]:
        """The words of a prompt that this model has never seen, in order; none where that cannot be known."""
        if self.known_words is None:
            return ()
        words = (word.strip(".,;:!?\"'()") for word in prompt.lower().split())
        return tuple(dict.fromkeys(word for word in words if word and word not in self.known_words))


def read_model(path: Path, *, name: str) -> Model:
    """Describes the model in a folder.

    The revision is the card's, else the commit of a hub snapshot, else a digest of the folder's files.
    """
    unet = _read_json(path / "unet" / "config.json")
    vae = _read_json(path / "vae" / "config.json")
    tokenizer = _read_json(path / "tokenizer" / "tokenizer_config.json")
    card = _read_json(path / CARD) if (path / CARD).exists() else {}
    words = card.get("known_words")
    return Model(
        name=card.get("name", name),
        revision=card.get("revision") or _snapshot(path) or _digest(path),
        path=path,
        # The autoencoder halves the side once per block but the first.
        resolution_pixels=int(unet["sample_size"]) * 2 ** (len(vae["block_out_channels"]) - 1),
        max_tokens=int(tokenizer["model_max_length"]) - 2,  # start and end
        defaults=card.get("defaults", {}),
        known_words=None if words is None else frozenset(words),
        notice=card.get("notice", ""),
    )


def _read_json(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def _snapshot(path: Path) -> str | None:
    return path.name if path.parent.name == "snapshots" else None


def _digest(path: Path) -> str:
    """Changes with every file; of large files only samples are read, so that a model of gigabytes takes a second."""
    digest = hashlib.sha256()
    for file in sorted(entry for entry in path.rglob("*") if entry.is_file()):
        digest.update(f"{file.relative_to(path).as_posix()}\0{file.stat().st_size}\0".encode())
        for part in _parts(file):
            digest.update(part)
    return digest.hexdigest()[:16]


def _parts(file: Path) -> Iterator[bytes]:
    size = file.stat().st_size
    if size <= _WHOLE_BYTES:
        yield file.read_bytes()
        return
    with file.open("rb") as opened:
        for sample in range(_SAMPLES):
            opened.seek(sample * (size - _SAMPLE_BYTES) // (_SAMPLES - 1))
            yield opened.read(_SAMPLE_BYTES)

"""Inversions that were asked for lately, unpacked and on the device."""

import hashlib
import threading
from collections import OrderedDict
from typing import Final, final

from core.diffusion.inversion.artifact import Header, unpack_inversion
from core.diffusion.inversion.inversion import Inversion

_BYTES: Final = 256 * 1024 * 1024  # eight of Stable Diffusion 1 by StyleDiffusion at T = 50, 30 MB each


@final
class Shelf:
    """Keeps unpacked inversions up to a number of bytes, and lets go of those that were not asked for longest.

    Edits of one inversion so hold the same tensors, and the engine evaluates their source once. Safe to use from
    several threads; nobody changes an inversion's tensors.
    """

    def __init__(self, *, device: str, max_bytes: int = _BYTES) -> None:
        self._device = device
        self._max_bytes = max_bytes
        self._held: OrderedDict[bytes, tuple[Inversion, Header, int]] = OrderedDict()
        self._lock = threading.Lock()

    def unpack(self, data: bytes) -> tuple[Inversion, Header]:
        """The inversion of a file, the same object as long as it is held."""
        key = hashlib.sha256(data).digest()
        with self._lock:
            found = self._held.pop(key, None) or (*unpack_inversion(data, device=self._device), len(data))
            self._held[key] = found
            while len(self._held) > 1 and sum(size for *_, size in self._held.values()) > self._max_bytes:
                self._held.popitem(last=False)
        inversion, header, _ = found
        return inversion, header

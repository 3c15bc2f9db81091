"""kombu's file transport with messages that appear whole.

The original creates a message's file and then fills it; a worker that looks in between reads an empty message, which
its consumer does not survive.
"""

import uuid
from pathlib import Path
from typing import Any, final

from kombu.transport import filesystem
from kombu.utils.json import dumps


@final
class Channel(filesystem.Channel):
    """Puts a message into place by renaming it."""

    def _put(self, queue: str, payload: dict[str, Any], **_: Any) -> None:  # type: ignore[override]
        folder, name = Path(self.data_folder_out), uuid.uuid4().hex
        unfinished = folder / f"{name}.unfinished"
        unfinished.write_text(dumps(payload), encoding="utf-8")
        unfinished.replace(folder / f"{name}.{queue}.msg")


@final
class Transport(filesystem.Transport):
    """A folder as broker."""

    Channel = Channel

"""What an operator may put between an edit and its caller: a check of its content, a mark of its origin."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol, final

from core.domain.errors import ComputeError, ErrorCode
from core.domain.studio import File

_PICTURE = "image"  # image, image_2, … of an edit; a mask shows nothing


class ContentCheck(Protocol):
    """Looks at an edited picture before anybody else does."""

    def __call__(self, png: bytes, /) -> str | None:
        """None lets it pass; a sentence withholds it, and is what the caller is told."""
        ...


class ProvenanceMark(Protocol):
    """Says in an edited picture that it is one."""

    def __call__(self, png: bytes, /, *, job_id: str) -> bytes:
        """The same picture as PNG, marked."""
        ...


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Publishing:
    """Both are off unless the operator names them."""

    check: ContentCheck | None = None
    mark: ProvenanceMark | None = None

    def publish(self, files: Sequence[File], *, job_id: str) -> tuple[File, ...]:
        """The files of an edit, its pictures checked, then marked.

        Raises:
            ComputeError: CONTENT_REFUSED; one refused picture withholds all.
        """
        return tuple(self._publish(file, job_id) if file.name.startswith(_PICTURE) else file for file in files)

    def _publish(self, file: File, job_id: str) -> File:
        reason = None if self.check is None else self.check(file.data)
        if reason is not None:
            raise ComputeError(ErrorCode.CONTENT_REFUSED, reason)
        return file if self.mark is None else replace(file, data=self.mark(file.data, job_id=job_id))

"""Every failure a caller can meet has one stable code and one sentence that says what to do.

The web process turns these into problem documents, the worker into the `error` field of a job;
which HTTP status or which retry belongs to a code is decided there, not here.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import final


class ErrorCode(StrEnum):
    """The stable names of the contract; a code is never renamed or reused."""

    IDEMPOTENCY_KEY_INVALID = "IDEMPOTENCY_KEY_INVALID"
    INVALID_PAGE_TOKEN = "INVALID_PAGE_TOKEN"
    MALFORMED_JSON = "MALFORMED_JSON"
    UNAUTHENTICATED = "UNAUTHENTICATED"
    SCOPE_MISSING = "SCOPE_MISSING"
    NOT_FOUND = "NOT_FOUND"
    METHOD_NOT_ALLOWED = "METHOD_NOT_ALLOWED"
    IDEMPOTENCY_IN_FLIGHT = "IDEMPOTENCY_IN_FLIGHT"
    JOB_ACTIVE = "JOB_ACTIVE"
    JOB_NOT_FINISHED = "JOB_NOT_FINISHED"
    INVERSION_FAILED = "INVERSION_FAILED"
    ARTIFACT_EXPIRED = "ARTIFACT_EXPIRED"
    BODY_TOO_LARGE = "BODY_TOO_LARGE"
    MEDIA_TYPE = "MEDIA_TYPE"
    VALIDATION = "VALIDATION"
    IDEMPOTENCY_MISMATCH = "IDEMPOTENCY_MISMATCH"
    IMAGE_UNREADABLE = "IMAGE_UNREADABLE"
    IMAGE_TOO_LARGE = "IMAGE_TOO_LARGE"
    URL_BLOCKED = "URL_BLOCKED"
    WORD_NOT_IN_PROMPT = "WORD_NOT_IN_PROMPT"
    PROMPT_TOO_LONG = "PROMPT_TOO_LONG"
    PROMPTS_NOT_ALIGNED = "PROMPTS_NOT_ALIGNED"
    RATE_LIMITED = "RATE_LIMITED"
    QUOTA_EXCEEDED = "QUOTA_EXCEEDED"
    QUEUE_FULL = "QUEUE_FULL"
    DEPENDENCY_DOWN = "DEPENDENCY_DOWN"
    INTERNAL = "INTERNAL"
    OUT_OF_MEMORY = "OUT_OF_MEMORY"
    TIMEOUT = "TIMEOUT"
    WORKER_LOST = "WORKER_LOST"
    POISON = "POISON"
    DIVERGED = "DIVERGED"
    CONTENT_REFUSED = "CONTENT_REFUSED"
    INPUT_FETCH_FAILED = "INPUT_FETCH_FAILED"
    ARTIFACT_WRITE_FAILED = "ARTIFACT_WRITE_FAILED"
    CANCELED = "CANCELED"
    DEADLINE = "DEADLINE"


@final
@dataclass(frozen=True, slots=True)
class FieldError:
    """One fault in a request body, addressed by JSON pointer (RFC 6901)."""

    pointer: str
    detail: str


def point(parent: str, part: int | str) -> str:
    """The JSON pointer (RFC 6901) to a part of what another points to."""
    return f"{parent}/{str(part).replace('~', '~0').replace('/', '~1')}"


class AppError(Exception):
    """A failure with a stable code and a sentence for the caller.

    Args:
        code: the stable name.
        detail: what is wrong and what to do about it, in one or two sentences.
        errors: the faulty fields, where the failure is about a request body.
        numbers: every number that stands in `detail`, by name, so that no caller has to parse a sentence.
    """

    def __init__(
        self,
        code: ErrorCode,
        detail: str,
        *,
        errors: tuple[FieldError, ...] = (),
        **numbers: float | str,
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.errors = errors
        self.numbers = numbers


@final
class InputError(AppError):
    """The request cannot be served as it stands; sending it again unchanged will fail again."""


@final
class NotFound(AppError):
    """Nothing with this id exists for this tenant."""

    def __init__(self, detail: str) -> None:
        super().__init__(ErrorCode.NOT_FOUND, detail)


@final
class Conflict(AppError):
    """The request is sound, but not in the present state of the thing it names."""


@final
class Unavailable(AppError):
    """A part the service needs does not answer now; the same request may succeed later."""

    def __init__(self, detail: str, **numbers: float | str) -> None:
        super().__init__(ErrorCode.DEPENDENCY_DOWN, detail, errors=(), **numbers)


@final
class FetchFailed(AppError):
    """What a URL of the caller's names could not be fetched; it may be there later."""

    def __init__(self, detail: str, **numbers: float | str) -> None:
        super().__init__(ErrorCode.INPUT_FETCH_FAILED, detail, errors=(), **numbers)


@final
class Exhausted(AppError):
    """A tenant has used up what it may use now (RATE_LIMITED, QUEUE_FULL, QUOTA_EXCEEDED).

    Args:
        policy: the name of the limit.
        quota: how much it allows, in a window of `window_seconds` where it has one.
        retry_after_seconds: when asking again may help.
    """

    def __init__(
        self,
        code: ErrorCode,
        detail: str,
        *,
        policy: str,
        quota: int,
        retry_after_seconds: int,
        window_seconds: int | None = None,
    ) -> None:
        window = {} if window_seconds is None else {"window_seconds": window_seconds}
        super().__init__(
            code, detail, errors=(), policy=policy, quota=quota, retry_after_seconds=retry_after_seconds, **window
        )


@final
class ComputeError(AppError):
    """A job's computation ended without a result."""

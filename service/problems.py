"""Every error code as an RFC 9457 problem: its HTTP status, its title, and how it is declared and rendered."""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, final

from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from core.domain.errors import AppError, ErrorCode, Exhausted, FieldError

MEDIA_TYPE = "application/problem+json"


@final
@dataclass(frozen=True, slots=True)
class ProblemKind:
    """What is the same for every occurrence of a code; `retry` says whether the same request can succeed later."""

    status: HTTPStatus
    title: str
    retry: bool = False
    in_job: bool = False  # stands in a job's `error`, never in an answer; were one raised, it would be our fault


def _in_job(title: str, *, retry: bool = False) -> ProblemKind:
    return ProblemKind(HTTPStatus.INTERNAL_SERVER_ERROR, title, retry, in_job=True)


PROBLEMS: Mapping[ErrorCode, ProblemKind] = {
    ErrorCode.IDEMPOTENCY_KEY_INVALID: ProblemKind(HTTPStatus.BAD_REQUEST, "The Idempotency-Key is not valid"),
    ErrorCode.INVALID_PAGE_TOKEN: ProblemKind(HTTPStatus.BAD_REQUEST, "The page token does not fit this request"),
    ErrorCode.MALFORMED_JSON: ProblemKind(HTTPStatus.BAD_REQUEST, "The body cannot be parsed"),
    ErrorCode.UNAUTHENTICATED: ProblemKind(HTTPStatus.UNAUTHORIZED, "An API key is needed"),
    ErrorCode.SCOPE_MISSING: ProblemKind(HTTPStatus.FORBIDDEN, "The API key lacks a scope"),
    ErrorCode.NOT_FOUND: ProblemKind(HTTPStatus.NOT_FOUND, "There is no such thing"),
    ErrorCode.METHOD_NOT_ALLOWED: ProblemKind(HTTPStatus.METHOD_NOT_ALLOWED, "The path has no such method"),
    ErrorCode.IDEMPOTENCY_IN_FLIGHT: ProblemKind(
        HTTPStatus.CONFLICT, "The first request with this key is still in flight", retry=True
    ),
    ErrorCode.JOB_ACTIVE: ProblemKind(HTTPStatus.CONFLICT, "The job's state does not allow this"),
    ErrorCode.JOB_NOT_FINISHED: ProblemKind(HTTPStatus.CONFLICT, "The job is not finished", retry=True),
    ErrorCode.INVERSION_FAILED: ProblemKind(HTTPStatus.CONFLICT, "The inversion has no result"),
    ErrorCode.ARTIFACT_EXPIRED: ProblemKind(HTTPStatus.GONE, "The artifact is no longer kept"),
    ErrorCode.BODY_TOO_LARGE: ProblemKind(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The body is too large"),
    ErrorCode.MEDIA_TYPE: ProblemKind(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "The body's media type is not accepted"),
    ErrorCode.VALIDATION: ProblemKind(HTTPStatus.UNPROCESSABLE_ENTITY, "The request is not valid"),
    ErrorCode.IDEMPOTENCY_MISMATCH: ProblemKind(
        HTTPStatus.UNPROCESSABLE_ENTITY, "The Idempotency-Key was used for another request"
    ),
    ErrorCode.IMAGE_UNREADABLE: ProblemKind(HTTPStatus.UNPROCESSABLE_ENTITY, "The image cannot be read"),
    ErrorCode.IMAGE_TOO_LARGE: ProblemKind(HTTPStatus.UNPROCESSABLE_ENTITY, "The image is too large"),
    ErrorCode.URL_BLOCKED: ProblemKind(HTTPStatus.UNPROCESSABLE_ENTITY, "The URL may not be fetched"),
    ErrorCode.INPUT_FETCH_FAILED: ProblemKind(
        HTTPStatus.UNPROCESSABLE_ENTITY, "An input could not be fetched", retry=True
    ),
    ErrorCode.WORD_NOT_IN_PROMPT: ProblemKind(HTTPStatus.UNPROCESSABLE_ENTITY, "A word is not in its prompt"),
    ErrorCode.PROMPT_TOO_LONG: ProblemKind(HTTPStatus.UNPROCESSABLE_ENTITY, "A prompt is too long"),
    ErrorCode.PROMPTS_NOT_ALIGNED: ProblemKind(HTTPStatus.UNPROCESSABLE_ENTITY, "The prompts cannot be aligned"),
    ErrorCode.RATE_LIMITED: ProblemKind(HTTPStatus.TOO_MANY_REQUESTS, "Too many requests", retry=True),
    ErrorCode.QUOTA_EXCEEDED: ProblemKind(HTTPStatus.TOO_MANY_REQUESTS, "The quota is used up", retry=True),
    ErrorCode.QUEUE_FULL: ProblemKind(HTTPStatus.TOO_MANY_REQUESTS, "The queue is full", retry=True),
    ErrorCode.DEPENDENCY_DOWN: ProblemKind(HTTPStatus.SERVICE_UNAVAILABLE, "A part does not answer", retry=True),
    ErrorCode.INTERNAL: ProblemKind(HTTPStatus.INTERNAL_SERVER_ERROR, "Something failed on our side", retry=True),
    ErrorCode.OUT_OF_MEMORY: _in_job("The job did not fit the device's memory", retry=True),
    ErrorCode.TIMEOUT: _in_job("The job made no progress for too long", retry=True),
    ErrorCode.WORKER_LOST: _in_job("The worker was lost", retry=True),
    ErrorCode.POISON: _in_job("The job ended every worker that tried it"),
    ErrorCode.DIVERGED: _in_job("The optimisation diverged"),
    ErrorCode.CONTENT_REFUSED: _in_job("The result is withheld"),
    ErrorCode.ARTIFACT_WRITE_FAILED: _in_job("A result could not be stored", retry=True),
    ErrorCode.CANCELED: _in_job("The job was canceled", retry=True),
    ErrorCode.DEADLINE: _in_job("The job's deadline passed", retry=True),
}

# What any operation may answer, and what any that asks for a key.
_ALWAYS = (ErrorCode.INTERNAL, ErrorCode.DEPENDENCY_DOWN)
_WITH_A_KEY = (ErrorCode.UNAUTHENTICATED, ErrorCode.SCOPE_MISSING, ErrorCode.RATE_LIMITED)


@final
class FieldFault(BaseModel):
    """One fault in the request."""

    pointer: str = Field(description="JSON pointer into the body, or /query, /path or /header and a name.")
    detail: str


@final
class Problem(BaseModel):
    """An error (RFC 9457). Every number in `detail` is also a member of its own."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(description="Where the code is documented.")
    title: str
    status: int
    detail: str
    instance: str = Field(description="The path that was asked for.")
    code: ErrorCode = Field(description="The stable name to program against.")
    request_id: str
    errors: list[FieldFault] | None = Field(None, description="The faulty fields of a 422.")


# Of every POST: it may carry an Idempotency-Key.
REPEATABLE: Final = (
    ErrorCode.IDEMPOTENCY_KEY_INVALID,
    ErrorCode.IDEMPOTENCY_IN_FLIGHT,
    ErrorCode.IDEMPOTENCY_MISMATCH,
)


def declared(*codes: ErrorCode, authenticated: bool = True) -> dict[int | str, dict[str, Any]]:
    """The answers an operation may give with these codes and the common ones, for its OpenAPI entry."""
    by_status: dict[int | str, list[ErrorCode]] = {}
    for code in (*codes, *(_WITH_A_KEY if authenticated else ()), *_ALWAYS):
        by_status.setdefault(PROBLEMS[code].status.value, []).append(code)
    return {
        status: {
            "description": " or ".join(f"`{code}`: {PROBLEMS[code].title}." for code in grouped),
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status, grouped in by_status.items()
    }


def render(error: AppError, *, path: str, request_id: str) -> JSONResponse:
    """The answer for one failure."""
    kind = PROBLEMS[error.code]
    content: dict[str, Any] = {
        **error.numbers,
        "type": f"/problems/{error.code}",
        "title": kind.title,
        "status": kind.status.value,
        "detail": error.detail,
        "instance": path,
        "code": error.code,
        "request_id": request_id,
    }
    if error.errors:
        content["errors"] = [_fault(fault) for fault in error.errors]
    return JSONResponse(content, kind.status.value, headers=_headers(error), media_type=MEDIA_TYPE)


def _fault(fault: FieldError) -> dict[str, str]:
    return {"pointer": fault.pointer, "detail": fault.detail}


def _headers(error: AppError) -> dict[str, str]:
    kind = PROBLEMS[error.code]
    if isinstance(error, Exhausted):
        return _exhausted(error)
    if kind.status is HTTPStatus.UNAUTHORIZED:
        return {"WWW-Authenticate": "Bearer"}
    # One second: what is in flight or briefly down is usually back by then.
    passing = kind.status is HTTPStatus.SERVICE_UNAVAILABLE or error.code is ErrorCode.IDEMPOTENCY_IN_FLIGHT
    return {"Retry-After": "1"} if passing else {}


def _exhausted(error: Exhausted) -> dict[str, str]:
    policy, seconds = error.numbers["policy"], error.numbers["retry_after_seconds"]
    window = f";w={error.numbers['window_seconds']}" if "window_seconds" in error.numbers else ""
    return {
        "Retry-After": str(seconds),
        "RateLimit-Policy": f'"{policy}";q={error.numbers["quota"]}{window}',
        "RateLimit": f'"{policy}";r=0;t={seconds}',
    }

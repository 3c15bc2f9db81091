"""Whatever goes wrong while a request is served leaves as a problem document."""

from collections.abc import Iterable, Sequence
from functools import reduce
from http import HTTPStatus
from itertools import islice
from typing import Any, TypeVar

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match

from core.domain.errors import AppError, ErrorCode, FieldError, InputError, NotFound, point
from service.documents import check_document
from service.problems import render

Model = TypeVar("Model", bound=BaseModel)

_TOLD_FAULTS = 100  # nobody reads more; an item of a batch keeps them in the database
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def add_failure_handlers(app: FastAPI) -> None:
    """Our own errors, faulty parameters, and what the router itself refuses."""
    app.add_exception_handler(AppError, _on_app_error)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    app.add_exception_handler(HTTPException, _on_http_exception)


def invalid(faults: Iterable[Any], *, root: str = "") -> InputError:
    """VALIDATION with a pointer for each fault that pydantic found, of very many for the first."""
    told = islice(faults, _TOLD_FAULTS)
    errors = tuple(FieldError(reduce(point, fault["loc"], root), _sentence(fault)) for fault in told)
    return InputError(ErrorCode.VALIDATION, "The request has faulty fields; see `errors`.", errors=errors)


def validated(model: type[Model], content: Any, *, root: str = "", apart: str | None = None) -> Model:
    """The content as this model.

    Args:
        model: what it has to be.
        content: as the parser gives it.
        root: the pointer to it.
        apart: a field whose values are checked one by one, and later.

    Raises:
        InputError: VALIDATION, with a pointer for each fault.
    """
    known = {name: value for name, value in content.items() if name != apart} if isinstance(content, dict) else content
    check_document(known, root=root)
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise invalid(error.errors(include_url=False, include_input=False, include_context=False), root=root) from error


def _on_app_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, AppError)  # noqa: S101 - the signature is Starlette's, the class is ours
    return render(error, path=request.url.path, request_id=request.state.request_id)


def _on_validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101
    return _on_app_error(request, invalid(error.errors()))


def _on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101
    match error.status_code:
        case HTTPStatus.NOT_FOUND:
            return _on_app_error(request, NotFound(f"There is nothing at {request.url.path}."))
        case HTTPStatus.METHOD_NOT_ALLOWED:
            return _method_not_allowed(request)
        case HTTPStatus.BAD_REQUEST:  # Starlette's parser of forms
            return _on_app_error(
                request, AppError(ErrorCode.MALFORMED_JSON, f"The body cannot be parsed: {error.detail}")
            )
        case _:
            return _on_app_error(request, AppError(ErrorCode.INTERNAL, "The request could not be served."))


def _method_not_allowed(request: Request) -> Response:
    # Starlette names the methods of the first route of a path only; here all of them are asked.
    allowed = ", ".join(method for method in _METHODS if _matches(request.app.routes, request, method))
    detail = f"{request.url.path} has no {request.method}; it has {allowed}."
    answer = _on_app_error(request, AppError(ErrorCode.METHOD_NOT_ALLOWED, detail))
    answer.headers["Allow"] = allowed
    return answer


def _matches(routes: Sequence[BaseRoute], request: Request, method: str) -> bool:
    scope = {**request.scope, "method": method}
    return any(route.matches(scope)[0] is Match.FULL for route in routes)


def _sentence(fault: Any) -> str:
    # A validator of ours raises ValueError; pydantic puts its own words before ours.
    return str(fault["msg"]).removeprefix("Value error, ")

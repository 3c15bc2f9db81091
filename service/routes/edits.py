"""Edits: another sentence for an inversion."""

from typing import Annotated

from fastapi import APIRouter, Depends, Response
from fastapi.responses import JSONResponse

from core.domain.costs import cost_of_inversion
from core.domain.edit_parts import EditMethod
from core.domain.edit_specs import resolve_edit
from core.domain.errors import ErrorCode
from core.domain.inversion_specs import resolved_inversion
from core.domain.job import Job, JobKind
from core.domain.variants import candidates, cost_of
from core.usecases.edits import preview_edit, submit_edit
from core.usecases.idempotency import Remember
from core.usecases.requests import EditRequest
from service.answers import submit_once
from service.bodies import Received, received
from service.dependencies import Call, Posting
from service.openapi import request_body
from service.problems import declared
from service.routes.job_actions import add_job_actions
from service.routes.listing import add_list
from service.routes.submission import SUBMITTED, ValidateOnly, image_id, refuse_other_model, webhook_of
from service.schemas.jobs import JobView
from service.schemas.previews import Preview
from service.schemas.requests import CreateEdit

router = APIRouter(prefix="/edits", tags=["edits"])

_Sent = Annotated[Received[CreateEdit], Depends(received(CreateEdit))]
_REFUSED = (
    *SUBMITTED,
    ErrorCode.INVERSION_FAILED,
    ErrorCode.ARTIFACT_EXPIRED,
    ErrorCode.WORD_NOT_IN_PROMPT,
    ErrorCode.PROMPTS_NOT_ALIGNED,
)


@router.post(
    "",
    status_code=202,
    response_model=JobView,
    responses={200: {"model": Preview, "description": "With `validate_only`."}, **declared(*_REFUSED)},
    openapi_extra=request_body(CreateEdit, multipart=True),
)
def create_edit(*, call: Posting, sent: _Sent, validate_only: ValidateOnly = False) -> Response:
    """Begins an edit, of an inversion by its id or of an image; it waits for an inversion that is not done."""
    if validate_only:
        return _preview(call, sent.body)
    return submit_once(call, sent.fingerprint, lambda remember: _submit(call, sent.body, remember))


def _submit(call: Call, body: CreateEdit, remember: Remember[Job] | None) -> Job:
    request = _request(call, body)
    order = call.order(metadata=body.metadata, webhook=webhook_of(call, body.webhook), remember=remember)
    ports = call.ports
    return submit_edit(ports.database, ports.wakeups, ports.model, order=order, request=request)


def _request(call: Call, body: CreateEdit) -> EditRequest:
    refuse_other_model(call, body.model)
    return body.request(None if body.image is None else image_id(call, body.image))


def _preview(call: Call, body: CreateEdit) -> Response:
    request = _request(call, body)
    job, inversion = preview_edit(call.ports.database, call.ports.model, order=call.order(), request=request)
    inverted = resolved_inversion(inversion.parameters)
    spec = resolve_edit(EditMethod(job.parameters["method"]), job.parameters)
    chosen = candidates(spec, inverted, seed=request.seed, variety=request.variety)
    cost = cost_of(chosen, timesteps=inverted.timesteps)
    if body.image is not None:
        cost += cost_of_inversion(inverted)
    tried = chosen if request.variety.several else ()
    return JSONResponse(Preview.of(job, cost, tried).model_dump(mode="json"))


add_list(router, JobKind.EDIT)
add_job_actions(router, JobKind.EDIT)

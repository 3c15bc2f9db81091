"""Inversions: an image and the sentence that describes it."""

from typing import Annotated

from fastapi import APIRouter, Depends, Response
from fastapi.responses import JSONResponse

from core.domain.costs import cost_of_inversion
from core.domain.inversion_specs import resolved_inversion
from core.domain.job import Job, JobKind
from core.usecases.idempotency import Remember
from core.usecases.inversions import preview_inversion, submit_inversion
from core.usecases.requests import InversionRequest
from service.answers import submit_once
from service.bodies import Received, received
from service.dependencies import Call, JobId, Posting, Reading
from service.files import PNG, UNCHANGED
from service.openapi import request_body
from service.problems import declared
from service.routes.job_actions import READ_FILE, JobActions, add_job_actions
from service.routes.listing import add_list
from service.routes.submission import SUBMITTED, ValidateOnly, image_id, refuse_other_model, webhook_of
from service.schemas.jobs import JobView
from service.schemas.previews import Preview
from service.schemas.requests import CreateInversion

router = APIRouter(prefix="/inversions", tags=["inversions"])

_Sent = Annotated[Received[CreateInversion], Depends(received(CreateInversion))]


@router.post(
    "",
    status_code=202,
    response_model=JobView,
    responses={200: {"model": Preview, "description": "With `validate_only`."}, **declared(*SUBMITTED)},
    openapi_extra=request_body(CreateInversion, multipart=True),
)
def create_inversion(*, call: Posting, sent: _Sent, validate_only: ValidateOnly = False) -> Response:
    """Begins an inversion. An equal one that is done or under way is shared, not computed again."""
    if validate_only:
        return _preview(call, sent.body)
    return submit_once(call, sent.fingerprint, lambda remember: _submit(call, sent.body, remember))


def _submit(call: Call, body: CreateInversion, remember: Remember[Job] | None) -> Job:
    request = _request(call, body)
    order = call.order(metadata=body.metadata, webhook=webhook_of(call, body.webhook), remember=remember)
    ports = call.ports
    return submit_inversion(ports.database, ports.wakeups, ports.model, order=order, request=request)


def _request(call: Call, body: CreateInversion) -> InversionRequest:
    refuse_other_model(call, body.model)
    return body.request(image_id(call, body.image))


def _preview(call: Call, body: CreateInversion) -> Response:
    request = _request(call, body)
    job = preview_inversion(call.ports.database, call.ports.model, order=call.order(), request=request)
    cost = cost_of_inversion(resolved_inversion(job.parameters))
    return JSONResponse(Preview.of(job, cost).model_dump(mode="json"))


@router.get(
    "/{job_id}/attention",
    response_class=Response,
    responses={**PNG, **UNCHANGED, **declared(*READ_FILE)},
)
def read_attention(*, call: Reading, job_id: JobId) -> Response:
    """Where in the image each word of the prompt acts: a heat map per word, side by side (PNG)."""
    return JobActions(JobKind.INVERSION).artifact(call=call, job_id=job_id, name="attention")


add_list(router, JobKind.INVERSION)
add_job_actions(router, JobKind.INVERSION)

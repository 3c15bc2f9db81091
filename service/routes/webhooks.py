"""Webhooks: where events are told, and what became of telling them."""

from dataclasses import replace
from http import HTTPStatus
from typing import Annotated, Any, final

from fastapi import APIRouter, Depends, Path, Query, Response
from pydantic import AfterValidator, Field

from core.domain.errors import ErrorCode
from core.domain.webhooks import Delivery, DeliveryFilter, DeliveryState, Endpoint
from core.usecases.idempotency import Remember
from core.usecases.webhooks import add_endpoint, delete_endpoint, list_deliveries, list_endpoints, redeliver
from service.answers import make_once
from service.bodies import Received, fingerprint, received
from service.dependencies import DELIVERY_ID, ENDPOINT_ID, Posting, Reading, Writing, known_form
from service.openapi import request_body
from service.paging import place_of, token_after
from service.problems import REPEATABLE, declared
from service.routes.listing import MOST_ON_A_PAGE, Page
from service.schemas.fields import NoNul
from service.schemas.webhooks import CreateEndpoint, DeliveryPage, DeliveryView, EndpointList, EndpointView

router = APIRouter(tags=["webhooks"])

_POSTED = (*REPEATABLE, ErrorCode.VALIDATION)
_SENT = (*_POSTED, ErrorCode.MALFORMED_JSON, ErrorCode.BODY_TOO_LARGE, ErrorCode.MEDIA_TYPE, ErrorCode.URL_BLOCKED)
_Sent = Annotated[Received[CreateEndpoint], Depends(received(CreateEndpoint))]
EndpointId = Annotated[str, Path(), AfterValidator(known_form(ENDPOINT_ID, "webhook endpoint"))]
DeliveryId = Annotated[str, Path(), AfterValidator(known_form(DELIVERY_ID, "webhook delivery"))]


@final
class _Listing(Page):
    state: DeliveryState | None = None
    subject_id: Annotated[str, Field(max_length=64), NoNul] | None = Field(None, description="A job or a batch.")


@router.post(
    "/webhook_endpoints",
    status_code=201,
    response_model=EndpointView,
    responses=declared(*_SENT),
    openapi_extra=request_body(CreateEndpoint),
)
def create_endpoint(*, call: Posting, sent: _Sent) -> Response:
    """Makes an endpoint and tells its secret, once: a replayed answer has `null` in its place.

    A second endpoint of the same URL adds no second delivery but a second signature: so a secret is exchanged.
    """
    ports, body = call.ports, sent.body

    def make(remember: Remember[Endpoint] | None) -> tuple[Endpoint, dict[str, Any]]:
        endpoint = add_endpoint(
            ports.database, ports.web, call.tenant, url=body.url, events=body.events, remember=remember
        )
        return endpoint, {"secret": endpoint.secret}

    return make_once(call, sent.fingerprint, make, status=HTTPStatus.CREATED, show=EndpointView.of)


@router.get("/webhook_endpoints", responses=declared())
def list_all_endpoints(*, call: Reading) -> EndpointList:
    """Every endpoint, without its secret."""
    return EndpointList(items=[EndpointView.of(one) for one in list_endpoints(call.ports.database, call.tenant)])


@router.delete("/webhook_endpoints/{endpoint_id}", status_code=204, responses=declared(ErrorCode.NOT_FOUND))
def remove_endpoint(*, call: Writing, endpoint_id: EndpointId) -> Response:
    """Deletes an endpoint; what is still on its way there is given up, unless another has the same URL."""
    delete_endpoint(call.ports.database, call.tenant, endpoint_id)
    return Response(status_code=HTTPStatus.NO_CONTENT)


@router.get("/webhook_deliveries", responses=declared(ErrorCode.INVALID_PAGE_TOKEN, ErrorCode.VALIDATION))
def list_all_deliveries(*, call: Reading, listing: Annotated[_Listing, Query()]) -> DeliveryPage:
    """Deliveries of the last 30 days, newest first."""
    query = DeliveryFilter(tenant=call.tenant, state=listing.state, subject_id=listing.subject_id)
    size = min(listing.page_size, MOST_ON_A_PAGE)
    after = None if listing.page_token is None else place_of(listing.page_token, query)
    found = list_deliveries(call.ports.database, replace(query, after=after, limit=size + 1))
    return DeliveryPage(
        items=[DeliveryView.of(delivery) for delivery in found[:size]],
        next_page_token=token_after(found[size - 1], query) if len(found) > size else None,
    )


@router.post(
    "/webhook_deliveries/{delivery_id}/redeliver",
    status_code=202,
    response_model=DeliveryView,
    responses=declared(*_POSTED, ErrorCode.NOT_FOUND),
)
def send_again(*, call: Posting, delivery_id: DeliveryId) -> Response:
    """Sends a delivery again at once, delivered or not, with the same `webhook-id`."""

    def make(remember: Remember[Delivery] | None) -> tuple[Delivery, dict[str, Any]]:
        return redeliver(call.ports.database, call.tenant, delivery_id, remember=remember), {}

    return make_once(call, fingerprint(call.request), make, status=HTTPStatus.ACCEPTED, show=DeliveryView.of)

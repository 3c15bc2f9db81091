"""What a tenant has used, and what operators do: keys and tenants."""

from dataclasses import replace
from datetime import timedelta
from http import HTTPStatus
from typing import Annotated, Any, final

from fastapi import APIRouter, Depends, Path, Query, Response
from pydantic import AfterValidator, Field

from core.domain.access import ApiKey
from core.domain.errors import ErrorCode
from core.domain.tenants import KeyFilter, Tenant
from core.usecases.idempotency import Remember
from core.usecases.keys import find_keys, make_key, revoke_key, rotate_key
from core.usecases.tenants import get_tenant, list_tenants, put_tenant, read_usage
from service.answers import make_once
from service.bodies import Received, received
from service.dependencies import KEY_ID, Administering, PostingAdmin, Reading, known_form
from service.openapi import request_body
from service.paging import name_of, place_of, token_after, token_after_name
from service.problems import REPEATABLE, declared
from service.routes.listing import MOST_ON_A_PAGE, Page
from service.schemas.fields import NoNul
from service.schemas.tenants import (
    CreateKey,
    KeyPage,
    KeyView,
    RotateKey,
    TenantPage,
    TenantSettings,
    TenantView,
    UsageView,
)

router = APIRouter()

_SENT = (ErrorCode.MALFORMED_JSON, ErrorCode.BODY_TOO_LARGE, ErrorCode.MEDIA_TYPE, ErrorCode.VALIDATION)
_POSTED = (*_SENT, *REPEATABLE)
_LISTED = declared(ErrorCode.INVALID_PAGE_TOKEN, ErrorCode.VALIDATION)
_KeyId = Annotated[str, Path(), AfterValidator(known_form(KEY_ID, "key"))]
_Name = Annotated[str, Path(max_length=63), NoNul]


@final
class _Keys(Page):
    tenant: Annotated[str, Field(max_length=63), NoNul] | None = None


@router.get("/usage", tags=["usage"], responses=declared(ErrorCode.VALIDATION))
def read(*, call: Reading, days: Annotated[int, Query(ge=1, le=366)] = 30) -> UsageView:
    """What the tenant's jobs took on each of the last days, and the limits that hold for it."""
    last, used = read_usage(call.ports.database, call.tenant, days=days)
    between = last - timedelta(days=days - 1), last
    return UsageView.of(call.tenant, used, between=between, limits=call.limits)


@router.post(
    "/keys",
    tags=["keys"],
    status_code=201,
    response_model=KeyView,
    responses=declared(*_POSTED),
    openapi_extra=request_body(CreateKey),
)
def create_key(*, call: PostingAdmin, sent: Annotated[Received[CreateKey], Depends(received(CreateKey))]) -> Response:
    """Makes a key and tells it, once: a replayed answer has `null` in its place."""
    database, body = call.ports.database, sent.body

    def make(remember: Remember[ApiKey] | None) -> tuple[ApiKey, dict[str, Any]]:
        key, token = make_key(
            database, body.tenant, name=body.name, scopes=body.scopes, days=body.days, remember=remember
        )
        return key, {"key": token}

    return make_once(call, sent.fingerprint, make, status=HTTPStatus.CREATED, show=KeyView.of)


@router.get("/keys", tags=["keys"], responses=_LISTED)
def list_all_keys(*, call: Administering, listing: Annotated[_Keys, Query()]) -> KeyPage:
    """Keys of all tenants or of one, oldest first, revoked and expired ones included."""
    query = KeyFilter(tenant=listing.tenant)
    size = min(listing.page_size, MOST_ON_A_PAGE)
    after = None if listing.page_token is None else place_of(listing.page_token, query)
    found = find_keys(call.ports.database, replace(query, after=after, limit=size + 1))
    return KeyPage(
        items=[KeyView.of(key) for key in found[:size]],
        next_page_token=token_after(found[size - 1], query) if len(found) > size else None,
    )


@router.post(
    "/keys/{key_id}/rotate",
    tags=["keys"],
    status_code=201,
    response_model=KeyView,
    responses=declared(*_POSTED, ErrorCode.NOT_FOUND),
    openapi_extra=request_body(RotateKey),
)
def rotate(
    *, call: PostingAdmin, key_id: _KeyId, sent: Annotated[Received[RotateKey], Depends(received(RotateKey))]
) -> Response:
    """Makes a key like an old one, which goes on for the overlap; the new one is told once."""
    ports, overlap = call.ports, timedelta(seconds=sent.body.overlap_seconds)

    def make(remember: Remember[ApiKey] | None) -> tuple[ApiKey, dict[str, Any]]:
        key, token = rotate_key(ports.database, key_id, overlap=overlap, remember=remember)
        ports.callers.forget()
        return key, {"key": token}

    return make_once(call, sent.fingerprint, make, status=HTTPStatus.CREATED, show=KeyView.of)


@router.delete("/keys/{key_id}", tags=["keys"], status_code=204, responses=declared(ErrorCode.NOT_FOUND))
def revoke(*, call: Administering, key_id: _KeyId) -> Response:
    """Refuses a key from now on."""
    revoke_key(call.ports.database, key_id)
    call.ports.callers.forget()
    return Response(status_code=HTTPStatus.NO_CONTENT)


@router.get("/tenants", tags=["tenants"], responses=_LISTED)
def list_all(*, call: Administering, page: Annotated[Page, Query()]) -> TenantPage:
    """Tenants by name."""
    size = min(page.page_size, MOST_ON_A_PAGE)
    after = "" if page.page_token is None else name_of(page.page_token)
    found = list_tenants(call.ports.database, after=after, limit=size + 1)
    return TenantPage(
        items=[TenantView.of(tenant) for tenant in found[:size]],
        next_page_token=token_after_name(found[size - 1].name) if len(found) > size else None,
    )


@router.get("/tenants/{name}", tags=["tenants"], responses=declared(ErrorCode.NOT_FOUND, ErrorCode.VALIDATION))
def read_tenant(*, call: Administering, name: _Name) -> TenantView:
    """What a tenant may do."""
    return TenantView.of(get_tenant(call.ports.database, name))


@router.put(
    "/tenants/{name}",
    tags=["tenants"],
    responses=declared(*_SENT, ErrorCode.NOT_FOUND),
    openapi_extra=request_body(TenantSettings),
)
def change_tenant(
    *,
    call: Administering,
    name: _Name,
    sent: Annotated[Received[TenantSettings], Depends(received(TenantSettings))],
) -> TenantView:
    """What a tenant may do from now on; what is left out goes back to the deployment's own."""
    tenant = Tenant(name=name, **sent.body.model_dump())
    put_tenant(call.ports.database, tenant)
    call.ports.callers.forget()
    return TenantView.of(tenant)

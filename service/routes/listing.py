"""Lists of jobs: filtered, newest first, paged by keyset."""

from dataclasses import replace
from typing import Annotated, Any, final

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from core.domain.edit_parts import EditMethod
from core.domain.errors import ErrorCode
from core.domain.inversion_specs import InversionMethod
from core.domain.job import JobKind, JobState
from core.domain.ports import JobFilter
from core.usecases.jobs import list_jobs
from service.dependencies import Call, Reading
from service.failures import invalid
from service.paging import place_of, token_after
from service.problems import declared
from service.schemas.fields import MAX_METADATA_PAIRS, MetadataValue, Moment, NoNul
from service.schemas.jobs import JobPage, JobView

_PAGE = 50
MOST_ON_A_PAGE = 1000
_PREFIX = "metadata."
_PAIRS = TypeAdapter(Annotated[dict[Annotated[str, NoNul], MetadataValue], Field(max_length=MAX_METADATA_PAIRS)])


class Page(BaseModel):
    """Which part of a list."""

    page_size: int = Field(_PAGE, ge=1, description=f"At most {MOST_ON_A_PAGE}; more is taken for {MOST_ON_A_PAGE}.")
    page_token: str | None = Field(None, max_length=512, description="From the page before; all else unchanged.")


@final
class Listing(Page):
    """The filters and the page; besides these, `metadata.KEY=value` for any key."""

    state: JobState | None = None
    method: InversionMethod | EditMethod | None = None
    batch_id: Annotated[str, Field(max_length=64), NoNul] | None = None
    inversion_id: Annotated[str, Field(max_length=64, description="Edits of this inversion."), NoNul] | None = None
    created_after: Moment | None = None
    created_before: Moment | None = None


Listed = Annotated[Listing, Query()]


def add_list(router: APIRouter, kind: JobKind | None) -> None:
    """The route that lists the jobs of one kind, or of any."""

    def list_(*, call: Reading, listing: Listed) -> JobPage:
        """Jobs, newest first; filter by kind, state, time and `metadata.KEY=value`. Deleted ones are left out."""
        return _page(call, listing, kind)

    refused = declared(ErrorCode.INVALID_PAGE_TOKEN, ErrorCode.VALIDATION)
    router.get("", responses=refused, name="list")(list_)


def _page(call: Call, listing: Listing, kind: JobKind | None) -> JobPage:
    query = JobFilter(
        tenant=call.tenant,
        kind=kind,
        state=listing.state,
        method=listing.method,
        batch_id=listing.batch_id,
        inversion_id=listing.inversion_id,
        created_after=listing.created_after,
        created_before=listing.created_before,
        metadata=_metadata(call.request),
    )
    size = min(listing.page_size, MOST_ON_A_PAGE)
    after = None if listing.page_token is None else place_of(listing.page_token, query)
    # One more than the page shows whether another follows.
    jobs = list_jobs(call.ports.database, replace(query, after=after, limit=size + 1))
    more = len(jobs) > size
    return JobPage(
        items=[JobView.of(job) for job in jobs[:size]],
        next_page_token=token_after(jobs[size - 1], query) if more else None,
    )


def _metadata(request: Request) -> tuple[tuple[str, str], ...]:
    given: dict[str, Any] = {
        name.removeprefix(_PREFIX): value for name, value in request.query_params.items() if name.startswith(_PREFIX)
    }
    try:
        return tuple(sorted(_PAIRS.validate_python(given).items()))
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False, include_context=False)
        raise invalid(faults, root="/query/metadata") from error

"""Jobs of any kind: one address for whoever watches them."""

from fastapi import APIRouter

from service.routes.job_actions import add_job_actions
from service.routes.listing import add_list

router = APIRouter(prefix="/jobs", tags=["jobs"])

add_list(router, None)
add_job_actions(router, None)

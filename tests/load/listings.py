"""Lists of jobs with every filter, on a tenant with a fifth of all jobs."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode

from tests.load.open_loop import Request, Target, offer, percentiles

_TIMES: Final = 20
_PER_SECOND: Final = 5.0
_LIST: Final = "GET a list"


def measure(target: Target) -> dict[str, Any]:
    """Percentiles in milliseconds of a page of fifty, by what was asked for."""
    found = {}
    for name, query in _filters(datetime.now(UTC)).items():
        request = Request(_LIST, f"/jobs?{urlencode(query)}")
        answers = offer(target, [request] * _TIMES, per_second=_PER_SECOND)
        failed = sum(answer.status != 200 for answer in answers)
        found[name] = {**percentiles(answers), **({"failed": failed} if failed else {})}
    return {"lists_in_milliseconds": found}


def _filters(now: datetime) -> dict[str, dict[str, str]]:
    """Such that most, some, few or none of the tenant's jobs answer."""
    batch_id = f"bat_{5:026x}"
    return {
        "no filter": {},
        "a state most are in": {"state": "succeeded"},
        "a state few are in": {"state": "expired"},
        "a state none is in": {"state": "running"},
        "a method": {"method": "ddim"},
        "a method never used": {"method": "imagic"},
        "a batch": {"batch_id": batch_id},
        "a batch and a state": {"batch_id": batch_id, "state": "failed"},
        "the last hour": {"created_after": (now - timedelta(hours=1)).isoformat()},
        "all but the last weeks": {"created_before": (now - timedelta(days=50)).isoformat()},
        "metadata of hundreds": {"metadata.campaign": "c-100"},
        "metadata of one": {"metadata.sku": "125"},
        "metadata of none": {"metadata.sku": "none"},
        "metadata and a state": {"metadata.campaign": "c-100", "state": "failed"},
    }

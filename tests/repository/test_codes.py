"""No code is promised that no test produces: for each stands the test that a service or a worker answers it in."""

import ast
from collections.abc import Iterable
from pathlib import Path

import pytest

from core.domain.errors import ErrorCode

PRODUCED_BY = {
    ErrorCode.IDEMPOTENCY_KEY_INVALID: "service/test_idempotency.py::test_a_key_that_is_none_is_refused",
    ErrorCode.INVALID_PAGE_TOKEN: "service/test_lists.py::test_a_token_belongs_to_its_listing",
    ErrorCode.MALFORMED_JSON: "service/test_problems.py::test_a_body_that_is_no_json_is_refused",
    ErrorCode.UNAUTHENTICATED: "service/test_access.py::test_every_other_route_refuses_a_caller_without_a_key",
    ErrorCode.SCOPE_MISSING: "service/test_access.py::test_a_key_does_what_its_scopes_allow",
    ErrorCode.NOT_FOUND: "service/test_images.py::test_an_unknown_image_is_not_found",
    ErrorCode.METHOD_NOT_ALLOWED: (
        "service/test_problems.py::test_a_method_that_a_path_lacks_is_answered_with_those_it_has"
    ),
    ErrorCode.IDEMPOTENCY_IN_FLIGHT: "usecases/test_submitting.py::test_one_idempotency_key_makes_one_job",
    ErrorCode.JOB_ACTIVE: "service/test_endings.py::test_an_active_job_is_not_deleted",
    ErrorCode.JOB_NOT_FINISHED: (
        "service/test_endings.py::test_what_is_not_there_yet_any_more_or_at_all_is_told_apart"
    ),
    ErrorCode.INVERSION_FAILED: "service/test_submissions.py::test_an_edit_of_a_failed_inversion_is_refused",
    ErrorCode.ARTIFACT_EXPIRED: (
        "service/test_endings.py::test_what_is_not_there_yet_any_more_or_at_all_is_told_apart"
    ),
    ErrorCode.BODY_TOO_LARGE: "service/test_problems.py::test_a_body_past_the_limit_is_not_read",
    ErrorCode.MEDIA_TYPE: "service/test_problems.py::test_another_media_type_is_refused",
    ErrorCode.VALIDATION: "service/test_problems.py::test_json_of_another_shape_is_refused",
    ErrorCode.IDEMPOTENCY_MISMATCH: "service/test_idempotency.py::test_another_request_with_the_same_key_is_refused",
    ErrorCode.IMAGE_UNREADABLE: "service/test_images.py::test_hostile_bytes_are_refused_and_the_service_lives",
    ErrorCode.IMAGE_TOO_LARGE: "service/test_images.py::test_hostile_bytes_are_refused_and_the_service_lives",
    ErrorCode.URL_BLOCKED: "service/test_image_sources.py::test_a_url_needs_the_operators_leave",
    ErrorCode.WORD_NOT_IN_PROMPT: "service/test_submissions.py::test_a_fault_is_pointed_at",
    ErrorCode.PROMPT_TOO_LONG: "service/test_submissions.py::test_a_prompt_of_500_words_is_too_long",
    ErrorCode.PROMPTS_NOT_ALIGNED: "service/test_submissions.py::test_a_fault_is_pointed_at",
    ErrorCode.RATE_LIMITED: (
        "service/test_tenants.py::test_too_many_requests_are_refused_and_every_answer_says_what_is_left"
    ),
    ErrorCode.QUOTA_EXCEEDED: "service/test_tenants.py::test_a_used_up_quota_refuses_until_tomorrow",
    ErrorCode.QUEUE_FULL: "service/test_tenants.py::test_a_full_queue_refuses_until_a_job_has_ended",
    ErrorCode.DEPENDENCY_DOWN: "service/test_problems.py::test_a_database_that_is_away_is_a_503",
    ErrorCode.INTERNAL: "service/test_problems.py::test_an_unforeseen_failure_is_reported_without_its_inside",
    ErrorCode.OUT_OF_MEMORY: "worker/test_attempts.py::test_a_failure_that_may_pass_is_tried_to_the_limit",
    ErrorCode.TIMEOUT: "worker/test_attempts.py::test_a_failure_that_may_pass_is_tried_to_the_limit",
    ErrorCode.WORKER_LOST: "storage/test_claims.py::test_a_job_of_one_attempt_is_not_blamed_for_its_lost_worker",
    ErrorCode.POISON: "storage/test_claims.py::test_a_job_that_loses_every_worker_is_poison",
    ErrorCode.DIVERGED: "worker/test_attempts.py::test_a_failure_that_repeats_itself_is_final_at_once",
    ErrorCode.CONTENT_REFUSED: (
        "worker/test_publishing.py::test_a_refused_picture_is_stored_nowhere_and_its_caller_told_why"
    ),
    ErrorCode.INPUT_FETCH_FAILED: "worker/test_attempts.py::test_a_missing_input_is_named",
    ErrorCode.ARTIFACT_WRITE_FAILED: "worker/test_attempts.py::test_a_store_that_stays_down_is_named",
    ErrorCode.CANCELED: "worker/test_attempts.py::test_a_canceled_job_stops_at_its_next_timestep",
    ErrorCode.DEADLINE: "storage/test_settlement.py::test_a_job_past_its_deadline_has_expired_and_says_so",
}


def _told(nodes: Iterable[ast.AST]) -> set[str]:
    """Every text, name and attribute in some code."""
    inner = [node for outer in nodes for node in ast.walk(outer)]
    texts = {node.value for node in inner if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    names = {node.id for node in inner if isinstance(node, ast.Name)}
    return texts | names | {node.attr for node in inner if isinstance(node, ast.Attribute)}


@pytest.mark.parametrize("code", ErrorCode)
def test_a_test_asserts_that_the_code_is_answered(code: ErrorCode) -> None:
    path, _, name = PRODUCED_BY[code].partition("::")
    module = ast.parse((Path("tests") / path).read_text(encoding="utf-8"))
    (test,) = (node for node in module.body if isinstance(node, ast.FunctionDef) and node.name == name)
    asserted = _told(node for node in ast.walk(test) if isinstance(node, ast.Assert))
    # Where the code is a parameter, its values stand above the test.
    given = _told([*test.decorator_list, *(node for node in module.body if isinstance(node, ast.Assign))])

    assert code in asserted or ("code" in asserted and code in given)

"""Identifiers name their kind and sort by time."""

import re

from core.domain.ids import IdPrefix, new_id, new_job_id
from core.domain.job import JobKind


def test_an_id_is_a_prefix_and_26_characters() -> None:
    assert re.fullmatch(r"img_[0-9a-v]{26}", new_id(IdPrefix.IMAGE))


def test_a_job_s_id_names_its_kind() -> None:
    assert [new_job_id(kind).partition("_")[0] for kind in (JobKind.INVERSION, JobKind.EDIT)] == ["inv", "edt"]


def test_ids_are_in_the_order_they_were_made() -> None:
    ids = [new_id(IdPrefix.KEY) for _ in range(1000)]

    assert ids == sorted(set(ids))

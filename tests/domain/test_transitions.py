"""The states of a job, as a table."""

from core.domain.job import TRANSITIONS, JobState


def test_four_states_are_final() -> None:
    final = {state for state in JobState if state.final}

    assert final == {JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELED, JobState.EXPIRED}


def test_every_state_but_the_first_two_is_reached_from_another() -> None:
    reached = set[JobState]().union(*TRANSITIONS.values())

    assert set(JobState) - reached == {JobState.WAITING}

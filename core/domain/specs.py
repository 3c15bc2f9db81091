"""What every set of parameters has in common: API, database, worker and documentation read one definition.

A caller *gives* a mapping with the few values he cares about; `resolve_inversion` and `resolve_edit` merge it over the
model's own defaults and those of the method into a frozen specification in which nothing is left open.
"""

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


class Fit(StrEnum):
    """How a picture that is not square meets a model that is: the middle of it, or all of it with a border."""

    CROP = "crop"
    PAD = "pad"


class Output(StrEnum):
    """What an edit gives back: the caller's picture with the region changed, or the model's own square."""

    ORIGINAL = "original"
    MODEL = "model"


def _refuse_bool(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("must be a number, not true or false")
    return value


# Always the last of an annotation: bounds that follow a validator are not published as JSON Schema's keywords.
NotBool = BeforeValidator(_refuse_bool)
# The bound keeps a seed exact in every JSON reader (doubles hold integers up to 2^53).
Seed = Annotated[int, Field(ge=0, le=2**53 - 1), NotBool]
Fraction = Annotated[float, Field(ge=0.0, le=1.0), NotBool]


class Spec(BaseModel):
    """A frozen set of parameters; an unknown name is an error, so that no misspelling passes silently."""

    model_config = ConfigDict(frozen=True, extra="forbid")

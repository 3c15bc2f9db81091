"""The kinds of field that several requests share, with their limits."""

import base64
import binascii
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from core.domain.specs import Seed

# A prompt is a sentence: the longest a CLIP text encoder reads is some 400 characters.
MAX_PROMPT_CHARACTERS = 2000
MAX_METADATA_PAIRS = 16


class Body(BaseModel):
    """A request body; an unknown field is an error, so that no misspelling passes silently."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def _refuse_nul(text: str) -> str:
    # PostgreSQL keeps every character but this one.
    if "\x00" in text:
        raise ValueError("must not contain the character U+0000")
    return text


def _decode(given: object) -> object:
    if not isinstance(given, str):
        return given  # a file's bytes come as they are; anything else pydantic refuses
    try:
        return base64.b64decode(given, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("must be base64 (RFC 4648, with padding)") from error


def _to_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("must lie in the years 1 to 9999 in UTC") from error


# Of queries and paths; bodies are looked through as a whole. Always the last of an annotation: bounds that follow a
# validator are not published as JSON Schema's keywords.
NoNul = AfterValidator(_refuse_nul)
PromptText = Annotated[str, Field(min_length=1, max_length=MAX_PROMPT_CHARACTERS, examples=["a red circle on grass"])]
Base64 = Annotated[bytes, BeforeValidator(_decode), WithJsonSchema({"type": "string", "contentEncoding": "base64"})]
Moment = Annotated[AwareDatetime, AfterValidator(_to_utc)]
Identifier = Annotated[str, Field(max_length=64)]
MetadataValue = Annotated[str, Field(max_length=512), NoNul]
Metadata = Annotated[
    dict[Annotated[str, Field(min_length=1, max_length=64)], MetadataValue],
    Field(
        default_factory=dict,
        max_length=MAX_METADATA_PAIRS,
        description="Pairs of the caller's own; lists filter by them.",
    ),
]
Parameters = Annotated[
    dict[str, Any],
    Field(
        default_factory=dict, max_length=32, description="The method's parameters; GET /methods lists them with bounds."
    ),
]
SeedField = Annotated[Seed, Field(description="Equal requests with equal seeds give equal results.")]

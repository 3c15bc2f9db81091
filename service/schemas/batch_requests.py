"""A batch as callers send it."""

from typing import Annotated, Any, Self, final

from pydantic import Field, WithJsonSchema, model_validator

from core.domain.edit_parts import EditMethod
from core.domain.specs import NotBool, Output
from core.domain.variants import MOST_RESULTS
from core.usecases.batches import MAX_ITEMS
from service.schemas.fields import Body, Identifier, Metadata, Parameters, PromptText, SeedField
from service.schemas.requests import ImageInput, InversionChoice
from service.schemas.webhooks import JobWebhook

_LONGEST_SECONDS = 30 * 86_400  # as long as artifacts are kept
_Name = Annotated[str, Field(min_length=1, max_length=64)]
Template = Annotated[str, Field(min_length=1, max_length=2000, examples=["a photo of a {product} on a table"])]
Values = Annotated[dict[_Name, Annotated[str, Field(max_length=500)]], Field(default_factory=dict, max_length=32)]


class EditFields(Body):
    """The fields of POST /edits, each of which may be left open."""

    inversion_id: Identifier | None = None
    image: ImageInput | None = None
    source_prompt: PromptText | None = None
    inversion: InversionChoice | None = None
    target_prompt: PromptText | None = None
    method: EditMethod | None = None
    parameters: Parameters
    model: Identifier | None = None
    output: Output | None = None
    seed: SeedField | None = None
    count: Annotated[int, Field(ge=1, le=MOST_RESULTS), NotBool] | None = None
    search: bool | None = None
    metadata: Metadata
    webhook: JobWebhook | None = None

    def given(self) -> dict[str, Any]:
        """The fields of an edit that are not left open."""
        named = EditFields.model_fields.keys() & self.model_fields_set
        return {name: value for name in named if (value := getattr(self, name)) is not None}


@final
class BatchItem(EditFields):
    """One edit. What it leaves open is taken from `defaults`; its `parameters` and `metadata` are laid over theirs."""

    custom_id: _Name = Field(description="The caller's name for it, unlike those of the other items.")
    values: Values = Field(description="What fills the templates of `defaults`, by name.")


@final
class BatchDefaults(EditFields):
    """What holds for every item that says nothing else."""

    source_prompt_template: Template | None = Field(
        None, description="Fills an item's source prompt: `{name}` becomes the entry of that name in its `values`."
    )
    target_prompt_template: Template | None = Field(None, description="The same for the target prompt.")

    @model_validator(mode="after")
    def _one_of_each(self) -> Self:
        for name in ("source_prompt", "target_prompt"):
            if getattr(self, name) is not None and getattr(self, f"{name}_template") is not None:
                raise ValueError(f"`{name}` and `{name}_template` exclude each other")
        return self


class BatchEnvelope(Body):
    """What a batch has besides its items."""

    defaults: Annotated[BatchDefaults, Field(default_factory=BatchDefaults)]
    expires_in: int | None = Field(
        None, ge=1, le=_LONGEST_SECONDS, description="Seconds after which what is left of the batch expires."
    )
    max_failures: int | None = Field(
        None, ge=0, le=MAX_ITEMS, description="The batch is canceled when more items than this have failed."
    )
    metadata: Metadata
    webhook: JobWebhook | None = Field(None, description="Where the end of the batch is told (`batch.ended`).")


@final
class CreateBatch(BatchEnvelope):
    """Many edits at once: as `items`, or as the lines of an uploaded file.

    An item at fault does not fail the batch: it is a failed line of its results.
    """

    input_upload_id: Identifier | None = Field(
        None, description="Instead of `items`: of POST /uploads, once lines of JSON (`application/x-ndjson`) were sent."
    )

    # Each item is checked by itself, so that one at fault leaves the others alone.
    items: Annotated[
        list[Any],
        WithJsonSchema(
            {
                "type": "array",
                "minItems": 1,
                "maxItems": MAX_ITEMS,
                "items": {"$ref": "#/components/schemas/BatchItem"},
            }
        ),
        Field(default_factory=list, min_length=1, max_length=MAX_ITEMS),
    ]

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if len({"items", "input_upload_id"} & self.model_fields_set) != 1:
            raise ValueError("must have exactly one of `items` and `input_upload_id`")
        return self

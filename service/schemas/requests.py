"""What callers send."""

from typing import Annotated, Any, Self, final

from pydantic import ConfigDict, Field, model_validator

from core.domain.edit_parts import EditMethod
from core.domain.inversion_specs import InversionMethod
from core.domain.specs import Fit, NotBool, Output
from core.domain.variants import MOST_RESULTS
from core.usecases.requests import EditRequest, InversionRequest
from service.schemas.fields import Base64, Body, Identifier, Metadata, Parameters, PromptText, SeedField
from service.schemas.webhooks import JobWebhook


def _publish_one_of(schema: dict[str, Any]) -> None:
    """Without defaults, which a generated client would send along."""
    schema |= {"minProperties": 1, "maxProperties": 1}
    for published in schema["properties"].values():
        published.pop("default", None)


class ImageSource(Body):
    """Where an image comes from; exactly one of the fields."""

    model_config = ConfigDict(json_schema_extra=_publish_one_of)

    base64: Base64 = b""
    upload_id: Identifier = Field("", description="Of POST /uploads, once the image was sent there.")
    url: Annotated[str, Field(description="https; only for tenants that may name URLs.")] = ""

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if len(self.model_fields_set) != 1:
            names = ", ".join(f"`{name}`" for name in type(self).model_fields)
            raise ValueError(f"must have exactly one of {names}")
        return self


@final
class CreateImage(ImageSource):
    """A PNG, JPEG or WebP, at most 32 MiB and 50 million pixels."""


@final
class ImageInput(ImageSource):
    """An image: one that was sent before, or one of its own. A multipart body carries it as the file `image`."""

    id: Identifier = Field("", description="Of an image sent to POST /images.")


@final
class CreateInversion(Body):
    """An image and the sentence that describes it."""

    image: ImageInput
    source_prompt: PromptText
    method: InversionMethod = InversionMethod.STYLEDIFFUSION
    parameters: Parameters
    model: Identifier | None = Field(None, description="One of GET /models; left out, the one this service runs.")
    fit: Fit = Field(Fit.CROP, description="What becomes of a picture that is not square.")
    seed: SeedField = 0
    metadata: Metadata
    webhook: JobWebhook | None = Field(None, description="Where the end of this job is told.")

    def request(self, image_id: str) -> InversionRequest:
        """The same, of an image that is kept."""
        return InversionRequest(
            image_id=image_id,
            source_prompt=self.source_prompt,
            method=self.method,
            parameters=self.parameters,
            fit=self.fit,
            seed=self.seed,
        )


@final
class InversionChoice(Body):
    """How an edit that brings its own image has it inverted."""

    method: InversionMethod = InversionMethod.STYLEDIFFUSION
    parameters: Parameters
    fit: Fit = Fit.CROP
    seed: SeedField = 0


@final
class CreateEdit(Body):
    """A second sentence for an inversion: by its id, or with the image and the sentence it is made from."""

    inversion_id: Identifier | None = Field(None, description="An inversion; the edit waits until it is done.")
    image: ImageInput | None = Field(None, description="Instead of `inversion_id`, together with `source_prompt`.")
    source_prompt: PromptText | None = None
    inversion: Annotated[InversionChoice, Field(default_factory=InversionChoice, description="Only with `image`.")]
    target_prompt: PromptText
    method: EditMethod = EditMethod.P2PLUS
    parameters: Parameters
    model: Identifier | None = Field(None, description="One of GET /models; left out, the one this service runs.")
    output: Output = Field(Output.ORIGINAL, description="At the size of the caller's picture, or the model's square.")
    seed: SeedField = 0
    count: Annotated[int, Field(ge=1, le=MOST_RESULTS), NotBool] | None = Field(
        None,
        description="Results to keep, best first: of a method that draws, by the seeds from `seed` on; of a search, "
        "its best. Left out: 1, or 4 of a search.",
    )
    search: bool = Field(
        False,
        description="Try the settings that GET /methods lists as `search`, of `method` if it is given, else of several "
        "methods. What `parameters` holds stays as given.",
    )
    metadata: Metadata
    webhook: JobWebhook | None = Field(None, description="Where the end of this job is told.")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.inversion_id is None) == (self.image is None):
            raise ValueError("must have exactly one of `inversion_id` and `image`")
        if (self.image is None) != (self.source_prompt is None):
            raise ValueError("`image` and `source_prompt` come together")
        if self.image is None and "inversion" in self.model_fields_set:
            raise ValueError("`inversion` comes with `image`")
        return self

    def request(self, image_id: str | None) -> EditRequest:
        """The same, of an image that is kept, where there is one."""
        return EditRequest(
            inversion=self._inversion(image_id),
            target_prompt=self.target_prompt,
            method=self.method if "method" in self.model_fields_set else None,
            parameters=self.parameters,
            output=self.output,
            seed=self.seed,
            count=self.count,
            search=self.search,
        )

    def _inversion(self, image_id: str | None) -> str | InversionRequest:
        if self.inversion_id is not None:
            return self.inversion_id
        assert image_id is not None and self.source_prompt is not None  # noqa: S101, PT018 - `_one_source`
        return InversionRequest(
            image_id=image_id,
            source_prompt=self.source_prompt,
            method=self.inversion.method,
            parameters=self.inversion.parameters,
            fit=self.inversion.fit,
            seed=self.inversion.seed,
        )

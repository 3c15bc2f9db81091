"""The items of a batch, each made ready for its job or refused with its own problem."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, final

from core.domain.batch import BatchItem, ItemError, ItemState
from core.domain.errors import AppError, ErrorCode, FieldError, InputError, Unavailable, point
from core.usecases.requests import EditRequest
from service.failures import validated
from service.schemas import batch_requests
from service.schemas.batch_requests import BatchDefaults
from service.schemas.requests import CreateEdit, ImageInput
from service.schemas.webhooks import JobWebhook

_PLACE = re.compile(r"\{([^{}]*)\}")
# Where an item says from what it is made, these defaults mean nothing to it.
_OVERRULED = {"inversion_id": ("image", "source_prompt", "inversion"), "image": ("inversion_id",)}
_LAID_OVER = ("parameters", "metadata")


@final
@dataclass(frozen=True, slots=True)
class Preparing:
    """Prepares the items of one batch in turn.

    Args:
        keep_image: keeps the image that a field brings, and returns its id.
        check_url: refuses the URL of an image that will not be fetched; the others are fetched later.
        keep_webhook: what a job keeps of the webhook that a field names.
        check_model: refuses the name of a model that does not run here.
    """

    defaults: BatchDefaults
    keep_image: Callable[[ImageInput], str]
    check_url: Callable[[str], None]
    keep_webhook: Callable[[JobWebhook | None], dict[str, Any] | None]
    check_model: Callable[[str | None], None]
    seen: set[str] = field(default_factory=set)

    def prepare(self, number: int, content: Any) -> BatchItem:
        """The item, ready to be started or failed with the reason.

        Raises:
            Unavailable: nothing is wrong with the item; all can be sent again.
        """
        custom_id = _readable_name(content)
        try:
            if isinstance(content, AppError):
                raise content
            request = self._request(content)
        except Unavailable:
            raise
        except AppError as error:
            failed = ItemError.of(error)
            return BatchItem(number=number, custom_id=custom_id, request=None, state=ItemState.FAILED, error=failed)
        return BatchItem(number=number, custom_id=custom_id, request=request)

    def _request(self, content: Any) -> dict[str, Any]:
        item = validated(batch_requests.BatchItem, content)
        if item.custom_id in self.seen:
            raise _faulty("/custom_id", f'Another item of this batch is named "{item.custom_id}".')
        self.seen.add(item.custom_id)
        body = validated(CreateEdit, self._merged(item))
        self.check_model(body.model)
        image_id, image_url = self._image(body.image)
        request: EditRequest = body.request(image_id)
        webhook = self.keep_webhook(body.webhook)
        kept = {"edit": request.to_document(), "metadata": body.metadata, "webhook": webhook}
        return kept if image_url is None else {**kept, "image_url": image_url}

    def _image(self, image: ImageInput | None) -> tuple[str | None, str | None]:
        """The id of an item's image, and the URL where it still has to be fetched."""
        if image is None:
            return None, None
        if "url" not in image.model_fields_set:
            return self.keep_image(image), None
        self.check_url(image.url)
        return "", image.url

    def _merged(self, item: batch_requests.BatchItem) -> dict[str, Any]:
        own, defaults = item.given(), self.defaults.given()
        templates = {
            "source_prompt": self.defaults.source_prompt_template,
            "target_prompt": self.defaults.target_prompt_template,
        }
        for name, template in templates.items():
            # The sentence of an inversion stands with the inversion.
            if template is not None and name not in own and not (name == "source_prompt" and "inversion_id" in own):
                own[name] = _filled(template, item.values, what=f"{name}_template")
        dropped = {name for chosen, names in _OVERRULED.items() if chosen in own for name in names}
        merged = {name: value for name, value in defaults.items() if name not in dropped} | own
        return merged | {name: {**defaults.get(name, {}), **own.get(name, {})} for name in _LAID_OVER if name in merged}


def _filled(template: str, values: dict[str, str], *, what: str) -> str:
    for name in _PLACE.findall(template):
        if name not in values:
            raise _faulty(point("/values", name), f'The {what} names "{name}", and `values` has no such entry.')
    return _PLACE.sub(lambda place: values[place[1]], template)


def _readable_name(content: Any) -> str | None:
    name = content.get("custom_id") if isinstance(content, dict) else None
    return name if isinstance(name, str) and 1 <= len(name) <= 64 and "\x00" not in name else None


def _faulty(pointer: str, detail: str) -> InputError:
    return InputError(ErrorCode.VALIDATION, detail, errors=(FieldError(pointer, detail),))

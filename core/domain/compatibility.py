"""Which edit method can be sampled from which inversion, and why not where it cannot."""

from core.domain.edit_specs import EditSpec, SdEditSpec, StyleTransferSpec
from core.domain.errors import ErrorCode, FieldError, InputError
from core.domain.inversion_parts import Feeds
from core.domain.inversion_specs import EditFriendlySpec, InversionSpec, StyleDiffusionSpec, ValueEmbeddingSpec


def check_pair(inversion: InversionSpec, edit: EditSpec) -> None:
    """Refuses what makes no sense before anything is computed.

    Raises:
        InputError: VALIDATION, pointing at the method, with the reason and what to use instead.
    """
    reason = refusal(inversion, edit)
    if reason is not None:
        raise InputError(ErrorCode.VALIDATION, reason, errors=(FieldError(pointer="/method", detail=reason),))


def refusal(inversion: InversionSpec, edit: EditSpec) -> str | None:
    """Why a pair makes no sense; None where it does."""
    match inversion, edit:
        case EditFriendlySpec(), SdEditSpec():
            return (
                "sdedit draws noise of its own, and edit_friendly's only fits the path it was found on; invert with "
                "another method, or edit with word_swap."
            )
        case ((StyleDiffusionSpec(feeds=Feeds.VALUE | Feeds.KEY_VALUE) | ValueEmbeddingSpec()), StyleTransferSpec()):
            return None
        case _, StyleTransferSpec():
            return (
                "style_transfer takes the style from learned value inputs, and this inversion learns none that reach "
                "another sentence; invert the style picture with stylediffusion (feeds value or key_value) or "
                "value_embedding, or edit with plug_and_play."
            )
        case _:
            return None

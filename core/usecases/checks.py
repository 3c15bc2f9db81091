"""What can be said about prompts and words before anything is computed."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from core.domain.alignment import align
from core.domain.catalogue import Model
from core.domain.compatibility import check_pair
from core.domain.edit_parts import EditMethod
from core.domain.edit_specs import EditSpec, Injection, MasaCtrlSpec, resolve_edit
from core.domain.errors import ErrorCode, FieldError, InputError
from core.domain.inversion_specs import InversionSpec
from core.domain.prompts import Prompt
from core.domain.variants import check_variety
from core.usecases.requests import EditRequest

Size = tuple[int, int]  # width, height in pixels


def check_prompt(model: Model, pointer: str, text: str) -> Prompt:
    """The prompt as tokens.

    Raises:
        InputError: PROMPT_TOO_LONG, pointing at the field.
    """
    with _pointing(pointer):
        return model.vocabulary.parse(text)


def check_edit(model: Model, request: EditRequest, *, source_prompt: str, inversion: InversionSpec) -> EditSpec:
    """The edit's complete parameters, once everything fits that can be told without its pictures.

    Raises:
        InputError: a parameter, a prompt, a word, the pair of methods, `count` or `search` is at fault.
    """
    spec = resolve_edit(request.method or EditMethod.P2PLUS, request.parameters)
    check_variety(spec, request.variety)
    source = check_prompt(model, "/source_prompt", source_prompt)
    target = check_prompt(model, "/target_prompt", request.target_prompt)
    check_words(spec, source, target)
    for name, text in spec.sentences(source.text, target.text).items():
        check_prompt(model, f"/parameters/{name}", text)
    check_pair(inversion, spec)
    return spec


def check_words(spec: EditSpec, source: Prompt, target: Prompt) -> None:
    """Every word that an edit names stands in the prompt it is meant for, and the prompts can be aligned as asked.

    Raises:
        InputError: WORD_NOT_IN_PROMPT or PROMPTS_NOT_ALIGNED, pointing at the field.
    """
    if spec.region is not None:
        _check_each("/parameters/region/words", spec.region.words, source)
    if isinstance(spec, MasaCtrlSpec) and spec.mask_aware is not None:
        _check_each("/parameters/mask_aware/source_words", spec.mask_aware.source_words, source)
        _check_each("/parameters/mask_aware/target_words", spec.mask_aware.target_words, target)
    if not isinstance(spec, Injection):
        return
    _check_each("/parameters/word_windows", spec.word_windows, target)
    _check_each("/parameters/reweight", spec.reweight, target)
    if spec.blend is not None:
        _check_each("/parameters/blend/source_words", spec.blend.source_words, source)
        _check_each("/parameters/blend/target_words", spec.blend.target_words, target)
        _check_each("/parameters/blend/keep_words", spec.blend.keep_words, source, target)
    with _pointing("/parameters/cross_rule"):
        align(source, target, spec.cross_rule)


def check_mask(*, picture: Size, mask: Size) -> None:
    """A region's mask lies on the picture, pixel by pixel.

    Raises:
        InputError: VALIDATION, pointing at the region's image.
    """
    if mask != picture:
        (width, height), (other_width, other_height) = picture, mask
        detail = (
            f"The mask has {other_width} x {other_height} pixels and the picture {width} x {height}; send a mask of "
            "the picture's own size."
        )
        fault = FieldError(pointer="/parameters/region/image_id", detail=detail)
        numbers = {"width": width, "height": height, "mask_width": other_width, "mask_height": other_height}
        raise InputError(ErrorCode.VALIDATION, detail, errors=(fault,), **numbers)


def prompt_warnings(model: Model, text: str) -> tuple[str, ...]:
    """What the caller should know about a prompt that is accepted all the same."""
    unknown = model.unknown_words(text)
    tokens = model.vocabulary.parse(text).end - 1
    warnings = []
    if unknown:
        listed = ", ".join(f'"{word}"' for word in unknown)
        warnings.append(f"The model {model.name} has never seen {listed}; expect nothing of it.")
    # Nine tenths: one more clause of the usual length would not fit.
    if tokens > 0.9 * model.max_tokens:
        warnings.append(f"The prompt is nearly too long: {tokens} of {model.max_tokens} tokens.")
    return tuple(warnings)


def _check_each(pointer: str, words: Iterable[str], *prompts: Prompt) -> None:
    for word in words:
        with _pointing(pointer):
            _check_word(word, prompts)


def _check_word(word: str, prompts: tuple[Prompt, ...]) -> None:
    *others, last = prompts
    for prompt in others:
        try:
            prompt.positions(word)
        except InputError:
            continue
        return
    last.positions(word)


@contextmanager
def _pointing(pointer: str) -> Iterator[None]:
    try:
        yield
    except InputError as error:
        fault = FieldError(pointer=pointer, detail=error.detail)
        raise InputError(ErrorCode(error.code), error.detail, errors=(fault,), **error.numbers) from error

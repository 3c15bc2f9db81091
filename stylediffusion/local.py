"""The command line without a service: the same checks, the same algorithms, in this process."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, final

from core.diffusion.inversion.artifact import unpack_inversion
from core.domain.edit_specs import EditSpec
from core.domain.errors import ErrorCode, InputError
from core.domain.inversion_specs import InversionMethod, resolve_inversion
from core.domain.specs import Fit
from core.domain.studio import Finished, Observer, Reached
from core.images import read_image, to_png
from core.settings import Settings
from core.usecases.checks import check_edit, check_mask, check_prompt, prompt_warnings
from core.usecases.requests import EditRequest
from stylediffusion.outcome import Outcome, file_name
from worker.loading import load_studio

OnProgress = Callable[[float], None]  # the share that is done

_SOURCE = "source.png"
_INVERSION = "inversion.safetensors"


@final
class LocalStudio:
    """One loaded model."""

    def __init__(self, settings: Settings) -> None:
        self._studio = load_studio(settings)

    def invert(
        self,
        photo: bytes,
        source_prompt: str,
        *,
        method: str,
        parameters: Mapping[str, Any],
        fit: str,
        seed: int,
        on_progress: OnProgress,
    ) -> Outcome:
        """An inversion; its files are all that `edit` needs.

        Raises:
            InputError: the picture, the sentence or a parameter is at fault.
        """
        model = self._studio.model
        spec = resolve_inversion(InversionMethod(method), parameters, model.defaults)
        check_prompt(model, "/source_prompt", source_prompt)
        picture = to_png(read_image(photo))
        finished = self._studio.invert(
            picture, source_prompt, spec, fit=Fit(fit), seed=seed, observe=_observer(on_progress), resume=None
        )
        return _outcome(finished, prompt_warnings(model, source_prompt), also={_SOURCE: picture})

    def edit(self, request: EditRequest, *, on_progress: OnProgress) -> Outcome:
        """An edit of what `invert` has written: the request names its folder, or the file in it, as the inversion.

        Pictures that the parameters name by id are files here.

        Raises:
            InputError: as `invert`, or there is no inversion.
        """
        model = self._studio.model
        data, picture = _read_inversion(Path(str(request.inversion)))
        _, header = unpack_inversion(data, device="cpu")
        spec = check_edit(model, request, source_prompt=header.prompt, inversion=header.spec)
        finished = self._studio.edit(
            data,
            picture,
            request.target_prompt,
            spec=spec,
            output=request.output,
            seed=request.seed,
            images=_read_images(spec, picture),
            observe=_observer(on_progress),
            resume=None,
            variety=request.variety,
        )
        return _outcome(finished, prompt_warnings(model, request.target_prompt))


def _observer(on_progress: OnProgress) -> Observer:
    def observe(reached: Reached) -> None:
        on_progress(reached.timestep / reached.timesteps)

    return observe


def _outcome(finished: Finished, warnings: tuple[str, ...], *, also: dict[str, bytes] | None = None) -> Outcome:
    files = {file_name(file.name, file.media_type): file.data for file in finished.files}
    return Outcome(
        files=(also or {}) | files,
        result=json.loads(json.dumps(finished.result)),
        warnings=(*warnings, *finished.warnings),
        seconds=finished.metrics.get("compute_seconds"),
    )


def _read_images(spec: EditSpec, picture: bytes) -> dict[str, bytes]:
    images = {path: _read_picture(path) for path in spec.image_ids}
    if spec.region is not None and spec.region.image_id is not None:
        check_mask(picture=_size(picture), mask=_size(images[spec.region.image_id]))
    return images


def _size(png: bytes) -> tuple[int, int]:
    height, width = read_image(png).shape[:2]
    return width, height


def _read_picture(path: str) -> bytes:
    if not Path(path).is_file():
        raise InputError(ErrorCode.VALIDATION, f"There is no {path}; without a service an image_id is a file's path.")
    return to_png(read_image(Path(path).read_bytes()))


def _read_inversion(path: Path) -> tuple[bytes, bytes]:
    folder = path if path.is_dir() else path.parent
    file = folder / _INVERSION if path.is_dir() else path
    for needed in (file, folder / _SOURCE):
        if not needed.is_file():
            detail = f"There is no {needed}; INVERSION is a folder that `invert --local` wrote, or its {_INVERSION}."
            raise InputError(ErrorCode.VALIDATION, detail)
    return file.read_bytes(), (folder / _SOURCE).read_bytes()

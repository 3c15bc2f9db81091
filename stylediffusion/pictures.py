"""What the commands `invert` and `edit` do, there and here."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from rich.console import Console

from core.domain.edit_parts import EditMethod
from core.domain.errors import ErrorCode, InputError
from core.domain.inversion_specs import InversionMethod
from core.domain.specs import Output
from core.usecases.requests import EditRequest
from stylediffusion.answers import Job
from stylediffusion.client import Client
from stylediffusion.configuration import read_settings
from stylediffusion.connection import find_connection
from stylediffusion.outcome import Outcome, keep, show
from stylediffusion.parameters import read_parameters
from stylediffusion.progress import progress_bar
from stylediffusion.remote import finish

_OUT: Final = Path("out")


def invert_remote(
    photo: Path,
    *,
    prompt: str,
    method: str,
    fit: str,
    params: Sequence[str],
    seed: int,
    out: Path | None,
    url: str | None,
    key: str | None,
    data: Path | None,
) -> None:
    """Sends the picture, follows the job, fetches its files."""

    def send(client: Client) -> Job:
        return client.invert(photo, prompt, method=method, parameters=read_parameters(params), fit=fit, seed=seed)

    _follow(send, out=out, connection=_connection(url, key, data))


def edit_remote(
    inversion: str,
    *,
    target: str,
    method: str | None,
    output: str,
    params: Sequence[str],
    seed: int,
    count: int | None,
    search: bool,
    out: Path | None,
    url: str | None,
    key: str | None,
    data: Path | None,
) -> None:
    """Sends the sentence, follows the job, fetches its files."""

    def send(client: Client) -> Job:
        return client.edit(
            inversion,
            target,
            method=method,
            parameters=read_parameters(params),
            output=output,
            seed=seed,
            count=count,
            search=search,
        )

    _follow(send, out=out, connection=_connection(url, key, data))


def invert_local(
    photo: Path, *, prompt: str, method: str, fit: str, params: Sequence[str], seed: int, out: Path | None, **_: object
) -> None:
    """Computes the inversion in this process."""
    from stylediffusion.local import LocalStudio

    chosen, parameters = _known(method, InversionMethod), read_parameters(params)
    studio, console = LocalStudio(read_settings()), Console()
    with progress_bar(console, "inversion") as on_progress:
        outcome = studio.invert(
            photo.read_bytes(),
            prompt,
            method=chosen,
            parameters=parameters,
            fit=fit,
            seed=seed,
            on_progress=on_progress,
        )
    _leave(outcome, out or _OUT / photo.stem, console)


def edit_local(
    inversion: str,
    *,
    target: str,
    method: str | None,
    output: str,
    params: Sequence[str],
    seed: int,
    count: int | None,
    search: bool,
    out: Path | None,
    **_: object,
) -> None:
    """Computes the edit in this process."""
    from stylediffusion.local import LocalStudio

    request = EditRequest(
        inversion=inversion,
        target_prompt=target,
        method=None if method is None else EditMethod(_known(method, EditMethod)),
        parameters=read_parameters(params),
        output=Output(output),
        seed=seed,
        count=count,
        search=search,
    )
    studio, console, path = LocalStudio(read_settings()), Console(), Path(inversion)
    with progress_bar(console, "edit") as on_progress:
        outcome = studio.edit(request, on_progress=on_progress)
    folder = path if path.is_dir() else path.parent
    _leave(outcome, out or folder / "-".join(target.split()), console)


def _follow(send: Callable[[Client], Job], *, out: Path | None, connection: tuple[str, str]) -> None:
    console = Console()
    with Client(*connection) as client:
        job = send(client)
        console.print(f"{job.id} is {job.state}")
        with progress_bar(console, job.kind) as on_progress:
            outcome = finish(client, job, on_progress=on_progress)
    _leave(outcome, out or _OUT / job.id, console)


def _leave(outcome: Outcome, folder: Path, console: Console) -> None:
    keep(outcome, folder)
    show(outcome, folder, console)


def _connection(url: str | None, key: str | None, data: Path | None) -> tuple[str, str]:
    return find_connection(read_settings(data=data).data_dir, url=url, key=key)


def _known(method: str, methods: type[InversionMethod] | type[EditMethod]) -> str:
    if method not in set(methods):
        raise InputError(ErrorCode.VALIDATION, f"There is no method {method}; there are {', '.join(methods)}.")
    return method

"""The web console: static files at `/`, which ask the API like any other caller."""

from pathlib import Path
from typing import final

from fastapi import FastAPI
from fastapi.responses import FileResponse
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

FOLDER = Path(__file__).parent / "console"

# Nothing runs or loads but these files and what the API answers; `blob:` is for pictures that a key was needed for.
# Trusted Types make the browser itself refuse to take text for HTML.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Cache-Control": "no-cache",  # looked at again each time, so that page and scripts are of one version
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def add_console(app: FastAPI) -> None:
    """The page at `/` and its files under `/console`; neither needs a key, and neither is in the API's document."""

    @app.get("/", include_in_schema=False)
    def console() -> Response:
        return FileResponse(FOLDER / "index.html", headers=HEADERS)

    app.mount("/console", _Files(directory=FOLDER), name="console")


@final
class _Files(StaticFiles):
    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers.update(HEADERS)
        return response

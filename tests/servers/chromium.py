"""A real browser without a screen."""

from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

from tests.servers.daemon import MissingServerError, find_program

_NAMES = ("chromium", "chromium-browser", "google-chrome")
# It may run as root and with little shared memory, and asks nobody on the network.
_OPTIONS = (
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)


@contextmanager
def chromium() -> Iterator[Browser]:
    """The browser that is installed.

    Raises:
        MissingServerError: none is.
    """
    program = _program()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(_OPTIONS))
        yield browser
        browser.close()


def _program() -> str:
    for name in _NAMES[1:]:
        try:
            return find_program(name)
        except MissingServerError:
            continue
    return find_program(_NAMES[0])

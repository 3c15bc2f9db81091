"""The two processes of the service, each run in the foreground until a signal ends it."""

import logging
import socket

from core.logs import configure_logs
from core.settings import Settings
from stylediffusion.children import end_with_parent
from stylediffusion.configuration import read_settings


def begin(*, with_parent: bool) -> Settings:
    """What each does first: read the settings, send its logs to stderr, and bind its life to its parent's."""
    settings = read_settings()
    configure_logs(level=logging.getLevelNamesMapping()[settings.log_level.upper()])
    if with_parent:
        end_with_parent()
    return settings


def run_api(settings: Settings, listener: socket.socket) -> None:
    """Answers on this socket; imports no torch.

    Raises:
        Unavailable: the database does not answer, or its tables are not up to date.
    """
    from service.server import make_server

    make_server(settings).run(sockets=[listener])


def run_worker(settings: Settings) -> int:
    """Runs jobs; the exit status."""
    from worker.app import run
    from worker.loading import load_studio

    return run(settings, load_studio)

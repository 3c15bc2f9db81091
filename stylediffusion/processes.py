"""The two processes of the service, each run in the foreground until a signal ends it."""

import gc
import logging
import socket
import sys

from core.logs import configure_logs
from core.settings import Settings
from stylediffusion.children import end_with_parent
from stylediffusion.configuration import read_settings

# A request goes through several threads, and each waits so long for one that computes; Python's own 5 ms add up.
_SWITCH_SECONDS = 0.0005


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

    sys.setswitchinterval(_SWITCH_SECONDS)
    server = make_server(settings)
    gc.collect()
    gc.freeze()  # lives as long as the process; while it is looked at again, for tenths of a second, nobody is answered
    server.run(sockets=[listener])


def run_worker(settings: Settings) -> int:
    """Runs jobs; the exit status."""
    from worker.app import run
    from worker.loading import load_studio

    return run(settings, load_studio)

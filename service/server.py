"""The web server, which when it stops sends nobody away without an answer."""

from collections.abc import Callable
from types import FrameType
from typing import final

import uvicorn

from core.settings import Settings
from service.app import build_ports, create_app
from service.dependencies import Ports
from service.waiting import Poller

# What is being answered takes a second or two; nobody waits any more by then.
_LAST_ANSWERS_SECONDS = 5


def make_server(settings: Settings, *, build: Callable[[Settings], Ports] = build_ports) -> uvicorn.Server:
    """A server for the application, its logs left to whoever runs it.

    Args:
        build: makes the ports; left out, from the settings alone.

    Raises:
        Unavailable: the database does not answer, or its tables are not up to date.
    """
    ports = build(settings)
    config = uvicorn.Config(
        create_app(settings, build=lambda _: ports),
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=_LAST_ANSWERS_SECONDS,
    )
    return _Server(config, ports.poller)


@final
class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, poller: Poller) -> None:
        super().__init__(config)
        self._poller = poller

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._poller.release()
        super().handle_exit(sig, frame)

"""The socket an API answers on."""

import os
import socket

from core.domain.errors import Unavailable


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes any that is free.

    Raises:
        Unavailable: another process listens there, or the host is none of this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=1024)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
        raise Unavailable(f"{host}:{port} is not to be had ({reason}); choose another --port.") from error

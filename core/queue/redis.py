"""kombu's Redis transport for workers that outlive their broker.

When a connection is lost while tasks run, kombu wants to give their messages back over the connection that it has just
taken apart; the error that comes of it ends Celery's worker, which then has to begin anew. A wake-up need not come
back: the sweeper sends what is missing.
"""

from typing import final

from kombu.transport import redis


@final
class Channel(redis.Channel):
    """Gives back nothing when it closes."""

    do_restore = False


@final
class Transport(redis.Transport):
    """Redis as broker."""

    Channel = Channel

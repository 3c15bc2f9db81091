"""The Celery application: a carrier of wake-ups, nothing more."""

from pathlib import Path
from typing import Any

from celery import Celery

from core.settings import Settings

QUEUE = "stylediffusion"
TASK = "work"

# Longer than any job: a job is recovered by its lease, and a wake-up that comes back early only finds it taken.
_VISIBILITY_SECONDS = 24 * 3600
_SOCKET_SECONDS = 10


def make_app(settings: Settings) -> Celery:
    """An application on Redis where one is named, else on files in DATA_DIR; it knows no task yet."""
    app = Celery("stylediffusion", set_as_current=False)
    app.conf.update(
        task_default_queue=QUEUE,
        task_acks_late=True,
        task_ignore_result=True,
        task_serializer="json",
        accept_content=["json"],
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        # A wake-up that is being heard when the broker goes away is heard to its end.
        worker_cancel_long_running_tasks_on_connection_loss=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        **(_files(settings.data_dir) if settings.redis_url is None else _redis(settings.redis_url.get_secret_value())),
    )
    return app


def _redis(url: str) -> dict[str, Any]:
    return {
        "broker_url": url,
        "broker_transport": "core.queue.redis:Transport",
        "broker_transport_options": {
            "visibility_timeout": _VISIBILITY_SECONDS,
            "unacked_restore_interval": 5,
            "unacked_restore_throttle": 1,
            "socket_timeout": _SOCKET_SECONDS,
            "socket_connect_timeout": 2,
            "socket_keepalive": True,
        },
    }


def _files(data_dir: Path) -> dict[str, Any]:
    messages, control = data_dir / "queue", data_dir / "queue-control"
    for folder in (messages, control):
        folder.mkdir(parents=True, exist_ok=True)
    return {
        "broker_url": "filesystem://localhost",
        "broker_transport": "core.queue.folder:Transport",
        "broker_transport_options": {
            "data_folder_in": str(messages),
            "data_folder_out": str(messages),
            "control_folder": str(control),
            "polling_interval": 0.1,  # seconds; costs an idle worker less than 1 % of a core
        },
        # Every remote command would be a file that somebody has to clear away.
        "worker_enable_remote_control": False,
    }

"""What the commands `api` and `worker` share: logs, a life bound to their supervisor, the model on its device."""

import logging
import os
import signal
from threading import Thread

from core.domain.studio import Studio
from core.logs import configure_logs
from core.settings import Settings

# Set by a supervisor that keeps the other end of our standard input open for as long as it lives.
SUPERVISED = "STYLEDIFFUSION_SUPERVISED"


def begin() -> Settings:
    """What a part does first: read the settings, send its logs to stderr, follow its supervisor."""
    settings = Settings()
    configure_logs(level=logging.getLevelNamesMapping()[settings.log_level.upper()])
    _follow_parent()
    return settings


def load_studio(settings: Settings) -> Studio:
    """The model of the settings, loaded on a GPU where there is one and warmed by a short run."""
    import torch

    from core.studio import ModelStudio
    from core.wiring import build_model, locate_model

    encoder = None if settings.image_encoder is None else locate_model(settings.image_encoder, weights=True)
    locate_model(settings.model, weights=True)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    studio = ModelStudio.load(build_model(settings), image_encoder=encoder, device=device)
    studio.warm_up()
    return studio


def _follow_parent() -> None:
    """Ends this process, cleanly, when a supervisor that started it is gone, however it went."""
    if SUPERVISED not in os.environ:
        return

    def wait_for_end() -> None:
        # Not sys.stdin: a thread that waits in it breaks the interpreter's own end.
        while os.read(0, 1):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    Thread(target=wait_for_end, name="follow-parent", daemon=True).start()

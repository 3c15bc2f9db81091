"""What a caller does, without HTTP."""

from io import BytesIO
from typing import Any

import PIL.Image

from core.domain.catalogue import Model
from core.domain.edit_parts import EditMethod
from core.domain.inversion_specs import InversionMethod
from core.domain.job import Job
from core.domain.ports import Database, ObjectStore, WakeUps
from core.usecases.edits import submit_edit
from core.usecases.images import submit_image
from core.usecases.inversions import submit_inversion
from core.usecases.requests import EditRequest, InversionRequest, Order

PROMPT = "a red circle on a blue background"
ACME = Order(tenant="acme")


def png(shade: int = 128) -> bytes:
    """A small grey picture."""
    buffer = BytesIO()
    PIL.Image.new("RGB", (32, 32), (shade, shade, shade)).save(buffer, "PNG")
    return buffer.getvalue()


class Caller:
    """Sends images, inversions and edits of one tenant straight to the use cases."""

    def __init__(self, database: Database, store: ObjectStore, *, wakeups: WakeUps, model: Model) -> None:
        self.database = database
        self.store = store
        self.wakeups = wakeups
        self.model = model

    def image(self, shade: int = 128, order: Order = ACME) -> str:
        return submit_image(self.database, self.store, order.tenant, data=png(shade)).id

    def request(self, order: Order = ACME, shade: int = 128, **changes: Any) -> InversionRequest:
        given = {
            "image_id": self.image(shade, order),
            "source_prompt": PROMPT,
            "method": InversionMethod.DDIM,
            "parameters": {"timesteps": 5},
        }
        return InversionRequest(**{**given, **changes})

    def invert(self, order: Order = ACME, shade: int = 128, **changes: Any) -> Job:
        request = self.request(order, shade, **changes)
        return submit_inversion(self.database, self.wakeups, self.model, order=order, request=request)

    def edit(self, inversion: str | InversionRequest, order: Order = ACME, **changes: Any) -> Job:
        given = {
            "inversion": inversion,
            "target_prompt": "a green circle on a blue background",
            "method": EditMethod.P2PLUS,
        }
        request = EditRequest(**{**given, **changes})
        return submit_edit(self.database, self.wakeups, self.model, order=order, request=request)

"""An image as callers see it."""

from datetime import datetime
from typing import Self, final

from pydantic import BaseModel, Field

from core.domain.job import StoredImage


@final
class ImageView(BaseModel):
    """An image that is kept."""

    id: str
    sha256: str = Field(description="Of the bytes that were sent.")
    width: int = Field(description="In pixels, upright.")
    height: int = Field(description="In pixels, upright.")
    created_at: datetime

    @classmethod
    def of(cls, image: StoredImage) -> Self:
        """Without where it is kept."""
        return cls(
            id=image.id, sha256=image.sha256, width=image.width, height=image.height, created_at=image.created_at
        )

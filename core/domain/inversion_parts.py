"""What the parameters of inversion methods are made of."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from core.domain.specs import NotBool

Timesteps = Annotated[int, Field(ge=2, le=200, description="T, the number of timesteps."), NotBool]
Guidance = Annotated[float, Field(ge=1.0, le=30.0, description="Classifier-free guidance scale w; 1: none."), NotBool]
InnerSteps = Annotated[int, Field(ge=1, le=500, description="Most optimiser steps at the first timestep."), NotBool]
_CLOSING = "Optimiser steps at each closing timestep, none left out by an early stop; 0: no timestep closes."
ClosingSteps = Annotated[int, Field(ge=0, le=500, description=_CLOSING), NotBool]
_SHARE = "The share of timesteps that close, the last ones: what is missed there no later timestep mends."
ClosingShare = Annotated[float, Field(ge=0.0, le=1.0, description=_SHARE), NotBool]
_KEEPS_MAPS = "Weight of the loss that keeps DDIM inversion's attention maps; 0 leaves it out."
AttentionLoss = Annotated[float, Field(ge=0.0, le=100.0, description=_KEEPS_MAPS), NotBool]


class Head(StrEnum):
    """What the mapping network's output means.

    `modulate` scales and shifts the text embedding (the released code), `replace` is the value input itself (the
    paper's text).
    """

    MODULATE = "modulate"
    REPLACE = "replace"


class Feeds(StrEnum):
    """Which layers of cross-attention take what is learned; the others keep the text."""

    VALUE = "value"
    KEY = "key"
    KEY_VALUE = "key_value"


class Threshold(StrEnum):
    """How guidance is thresholded.

    `hard` keeps what is above the threshold and drops the rest, `soft` also shortens what it keeps. `published` is the
    released code's: soft under the name of hard, its quantile counted over a second row of zeros (0.7 of both rows is
    0.4 of the target's), and its mask tested against the threshold after shortening.
    """

    HARD = "hard"
    SOFT = "soft"
    PUBLISHED = "published"


class Correction(StrEnum):
    """What pulls back the places whose guidance was dropped.

    `inversion` pulls the latent to the trace's, `reconstruction` the predicted image to the source's latent.
    """

    NONE = "none"
    INVERSION = "inversion"
    RECONSTRUCTION = "reconstruction"

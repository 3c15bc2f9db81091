"""An inversion as a file: safetensors with one JSON header, never pickle."""

import json
from typing import final

from pydantic import BaseModel, ConfigDict
from safetensors.torch import load, save

from core.diffusion.conditioning import load_conditioning
from core.diffusion.inversion.inversion import Inversion
from core.diffusion.inversion.sampling_rules import load_rule
from core.diffusion.requests import Tensors
from core.domain.inversion_specs import InversionSpec
from core.domain.specs import Fit

_HEADER = "stylediffusion"
_LEARNED = "conditioning."


@final
class Header(BaseModel):
    """What an edit has to know of the inversion it starts from."""

    model_config = ConfigDict(frozen=True)

    prompt: str
    spec: InversionSpec
    fit: Fit
    model: str
    revision: str


def pack_inversion(inversion: Inversion, header: Header) -> bytes:
    """The file of an inversion."""
    tensors: Tensors = {
        "trace": inversion.trace,
        "path": inversion.path,
        "word_maps": inversion.word_maps,
        **{_LEARNED + name: tensor for name, tensor in inversion.conditioning.tensors().items()},
    }
    held = {name: tensor.contiguous().cpu() for name, tensor in tensors.items()}
    return save(held, {_HEADER: header.model_dump_json()})


def unpack_inversion(data: bytes, *, device: str) -> tuple[Inversion, Header]:
    """The inversion of a file, on a device."""
    tensors = {name: tensor.to(device) for name, tensor in load(data).items()}
    # The format: the header's length in eight bytes, then the header as JSON.
    length = int.from_bytes(data[:8], "little")
    header = Header.model_validate_json(json.loads(data[8 : 8 + length])["__metadata__"][_HEADER])
    learned = {name.removeprefix(_LEARNED): tensor for name, tensor in tensors.items() if name.startswith(_LEARNED)}
    conditioning = load_conditioning(header.spec, learned)
    trace = tensors["trace"]
    rule = load_rule(header.spec, trace)
    return Inversion(conditioning, trace, tensors["path"], tensors["word_maps"], rule=rule), header

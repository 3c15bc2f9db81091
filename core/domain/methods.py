"""Every inversion and editing method that can be asked for, with where it was published."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, final

from core.domain.edit_parts import EditMethod
from core.domain.edit_specs import (
    ImagicSpec,
    MasaCtrlSpec,
    P2PlusSpec,
    P2pSpec,
    Pix2PixZeroSpec,
    PlugAndPlaySpec,
    SdEditSpec,
    StyleTransferSpec,
    WordSwapSpec,
)
from core.domain.inversion_specs import (
    DdimSpec,
    DirectSpec,
    EditFriendlySpec,
    InversionMethod,
    NegativePromptSpec,
    NullTextSpec,
    Pix2PixZeroInversionSpec,
    ProximalSpec,
    StyleDiffusionSpec,
    TextEmbeddingSpec,
    ValueEmbeddingSpec,
)
from core.domain.specs import Spec


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Citation:
    """A paper."""

    authors: str
    title: str
    year: int
    arxiv: str


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """One method and the parameters it takes; `needs` is an example of those that have no default."""

    name: InversionMethod | EditMethod
    spec: type[Spec]
    citation: Citation
    needs: Mapping[str, Any] = field(default_factory=dict)


_DDIM = Citation(authors="Song et al.", title="Denoising Diffusion Implicit Models", year=2021, arxiv="2010.02502")
_P2P = Citation(
    authors="Hertz et al.",
    title="Prompt-to-Prompt Image Editing with Cross-Attention Control",
    year=2022,
    arxiv="2208.01626",
)
_NULL_TEXT = Citation(
    authors="Mokady et al.",
    title="Null-text Inversion for Editing Real Images using Guided Diffusion Models",
    year=2023,
    arxiv="2211.09794",
)
_STYLEDIFFUSION = Citation(
    authors="Li et al.",
    title="StyleDiffusion: Prompt-Embedding Inversion for Text-Based Editing",
    year=2023,
    arxiv="2303.15649",
)

_NEGATIVE_PROMPT = Citation(
    authors="Miyake et al.",
    title="Negative-prompt Inversion: Fast Image Inversion for Editing with Text-guided Diffusion Models",
    year=2023,
    arxiv="2305.16807",
)
_PROXIMAL = Citation(
    authors="Han et al.",
    title="Improving Tuning-Free Real Image Editing with Proximal Guidance",
    year=2023,
    arxiv="2306.05414",
)
_DIRECT = Citation(
    authors="Ju et al.",
    title="Direct Inversion: Boosting Diffusion-based Editing with 3 Lines of Code",
    year=2023,
    arxiv="2310.01506",
)
_EDIT_FRIENDLY = Citation(
    authors="Huberman-Spiegelglas et al.",
    title="An Edit Friendly DDPM Noise Space: Inversion and Manipulations",
    year=2023,
    arxiv="2304.06140",
)
_PIX2PIX_ZERO = Citation(
    authors="Parmar et al.",
    title="Zero-shot Image-to-Image Translation",
    year=2023,
    arxiv="2302.03027",
)
_SDEDIT = Citation(
    authors="Meng et al.",
    title="SDEdit: Guided Image Synthesis and Editing with Stochastic Differential Equations",
    year=2021,
    arxiv="2108.01073",
)
_PLUG_AND_PLAY = Citation(
    authors="Tumanyan et al.",
    title="Plug-and-Play Diffusion Features for Text-Driven Image-to-Image Translation",
    year=2022,
    arxiv="2211.12572",
)
_MASACTRL = Citation(
    authors="Cao et al.",
    title="MasaCtrl: Tuning-Free Mutual Self-Attention Control for Consistent Image Synthesis and Editing",
    year=2023,
    arxiv="2304.08465",
)
_IMAGIC = Citation(
    authors="Kawar et al.",
    title="Imagic: Text-Based Real Image Editing with Diffusion Models",
    year=2022,
    arxiv="2210.09276",
)

INVERSION_METHODS = (
    Method(name=InversionMethod.STYLEDIFFUSION, spec=StyleDiffusionSpec, citation=_STYLEDIFFUSION),
    Method(name=InversionMethod.VALUE_EMBEDDING, spec=ValueEmbeddingSpec, citation=_STYLEDIFFUSION),
    Method(name=InversionMethod.TEXT_EMBEDDING, spec=TextEmbeddingSpec, citation=_STYLEDIFFUSION),
    Method(name=InversionMethod.NULL_TEXT, spec=NullTextSpec, citation=_NULL_TEXT),
    Method(name=InversionMethod.NEGATIVE_PROMPT, spec=NegativePromptSpec, citation=_NEGATIVE_PROMPT),
    Method(name=InversionMethod.PROXIMAL, spec=ProximalSpec, citation=_PROXIMAL),
    Method(name=InversionMethod.DIRECT, spec=DirectSpec, citation=_DIRECT),
    Method(name=InversionMethod.EDIT_FRIENDLY, spec=EditFriendlySpec, citation=_EDIT_FRIENDLY),
    Method(name=InversionMethod.PIX2PIX_ZERO, spec=Pix2PixZeroInversionSpec, citation=_PIX2PIX_ZERO),
    Method(name=InversionMethod.DDIM, spec=DdimSpec, citation=_DDIM),
)
EDIT_METHODS = (
    Method(name=EditMethod.P2PLUS, spec=P2PlusSpec, citation=_STYLEDIFFUSION),
    Method(name=EditMethod.P2P, spec=P2pSpec, citation=_P2P),
    Method(name=EditMethod.WORD_SWAP, spec=WordSwapSpec, citation=_DDIM),
    Method(name=EditMethod.SDEDIT, spec=SdEditSpec, citation=_SDEDIT),
    Method(name=EditMethod.MASACTRL, spec=MasaCtrlSpec, citation=_MASACTRL),
    Method(name=EditMethod.PLUG_AND_PLAY, spec=PlugAndPlaySpec, citation=_PLUG_AND_PLAY),
    Method(
        name=EditMethod.STYLE_TRANSFER,
        spec=StyleTransferSpec,
        citation=_STYLEDIFFUSION,
        needs={"content_image_id": "img_content"},
    ),
    Method(name=EditMethod.PIX2PIX_ZERO, spec=Pix2PixZeroSpec, citation=_PIX2PIX_ZERO),
    Method(name=EditMethod.IMAGIC, spec=ImagicSpec, citation=_IMAGIC),
)

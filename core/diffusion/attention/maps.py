"""The attention edits of the papers on explicit maps, out of place.

This is the textbook form. Editing runs the index-and-matrix form of `plan.py`, which never builds a map; a test holds
the two equal. It is used where maps are read: by losses, local blend and pictures.
"""

import torch
from jaxtyping import Float
from torch import Tensor


def attention_maps(
    query: Float[Tensor, "n heads pixels d"], key: Float[Tensor, "n heads tokens d"]
) -> Float[Tensor, "n heads pixels tokens"]:
    """softmax(q k^T / sqrt(d)), in the precision of the query."""
    return torch.softmax(query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5, dim=-1)


def carry(
    source: Float[Tensor, "*n pixels tokens"],
    target: Float[Tensor, "*n pixels tokens"],
    *,
    matrix: Float[Tensor, "tokens tokens"],
    kept: Float[Tensor, " tokens"],
    factors: Float[Tensor, " tokens"],
    window: Float[Tensor, " tokens"],
) -> Float[Tensor, "*n pixels tokens"]:
    """Replacement, refinement and reweighting in one line.

    w * f * (k * (A_src M) + (1 - k) * A_tgt) + (1 - w) * A_tgt, per target token: M and k are the alignment, f the
    caller's factors, w 1 while the token's window is open. Rows are not renormalised.
    Source: Hertz et al. 2022, arXiv 2208.01626, section 3.2.
    """
    carried = kept * (source @ matrix) + (1 - kept) * target
    return window * factors * carried + (1 - window) * target

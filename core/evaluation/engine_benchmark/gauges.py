"""What a computation costs: arithmetic, memory, and how much the device could have done."""

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

_STATUS: Final = Path("/proc/self/status")
_SIDE: Final = {"cpu": 1536, "cuda": 8192}  # of the matrices: large enough for the peak, small enough to be quick


def count_flops(run: Callable[[], object]) -> int:
    """Floating-point operations of matrix products and convolutions that `run` makes in this thread.

    Fused attention is taken apart meanwhile: its kernel for the CPU is not counted otherwise.
    """
    convolution = {torch.ops.aten.mkldnn_convolution: _convolution_flops}
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False, custom_mapping=convolution) as counter:
        run()
    return int(counter.get_total_flops())


def matmul_peak(device: str, dtype: torch.dtype) -> float:
    """Operations a second of a large matrix product, the best of five."""
    side = _SIDE[device]
    left, right = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    best = min(timed(device, lambda: left @ right) for _ in range(5))
    return 2 * side**3 / best


def timed(device: str, run: Callable[[], object]) -> float:
    """Seconds until the device is done."""
    _synchronise(device)
    began = time.perf_counter()
    run()
    _synchronise(device)
    return time.perf_counter() - began


def peak_bytes(device: str, run: Callable[[], object]) -> int | None:
    """Bytes that `run` needed at its worst beyond what was taken before; None where the system does not tell."""
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        run()
        return torch.cuda.max_memory_allocated() - before
    try:
        Path("/proc/self/clear_refs").write_text("5")  # the highest so far is now the present
        before = _status("VmRSS")
    except OSError:
        run()
        return None
    run()
    return _status("VmHWM") - before


def _convolution_flops(_: Sequence[int], weight: Sequence[int], *__: object, out_shape: Sequence[int]) -> int:
    return 2 * math.prod(out_shape) * math.prod(weight[1:])


def _synchronise(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def _status(name: str) -> int:
    (line,) = [line for line in _STATUS.read_text().splitlines() if line.startswith(f"{name}:")]
    return int(line.split()[1]) * 1024

"""Runs one solver alone."""

from collections.abc import Callable

import torch

from core.diffusion.calls import Predictor, denoise_groups, descend_groups
from core.diffusion.requests import Answer, Denoise, Descend, Reached, Result, Solver


def drive(solver: Solver[Result], backbone: Predictor, observe: Callable[[Reached], None] = lambda _: None) -> Result:
    """The solver's result; `observe` sees every finished timestep and may raise to stop."""
    answer: Answer = None
    while True:
        try:
            request = solver.send(answer)
        except StopIteration as stop:
            result: Result = stop.value
            return result
        match request:
            case Denoise():
                with torch.no_grad():
                    (answer,) = denoise_groups(backbone, [request.rows])
            case Descend():
                (answer,) = descend_groups(backbone, [request])
            case Reached():
                observe(request)
                answer = None

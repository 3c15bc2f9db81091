"""What this service can do: methods, models, problem codes, and how busy it is."""

from fastapi import APIRouter, Depends

from core.domain.costs import cost_of_edit, cost_of_inversion
from core.domain.edit_parts import EditMethod
from core.domain.edit_specs import EditSpec, resolve_edit
from core.domain.errors import ErrorCode
from core.domain.inversion_specs import InversionMethod, Sampling, resolve_inversion
from core.domain.methods import EDIT_METHODS, INVERSION_METHODS, Method
from core.usecases.queue import measure_queue
from service.dependencies import Reading, UsedPorts, get_caller
from service.problems import declared
from service.schemas.catalogue import MethodsView, MethodView, ModelView, ProblemKindView, QueueClassView
from service.schemas.previews import CostView

router = APIRouter(tags=["catalogue"])


@router.get("/methods", responses=declared(), dependencies=[Depends(get_caller)])
def list_methods() -> MethodsView:
    """Every inversion and edit method: its parameters with defaults and bounds, its cost, its paper."""
    inversions = [
        MethodView.of(method, CostView.of(cost_of_inversion(resolve_inversion(InversionMethod(method.name), {}, {}))))
        for method in INVERSION_METHODS
    ]
    timesteps = Sampling().timesteps
    edits = [
        MethodView.of(method, CostView.of(cost_of_edit(_resolved(method), timesteps=timesteps)))
        for method in EDIT_METHODS
    ]
    return MethodsView(inversions=inversions, edits=edits)


def _resolved(method: Method) -> EditSpec:
    return resolve_edit(EditMethod(method.name), method.needs)


@router.get("/models", responses=declared(), dependencies=[Depends(get_caller)])
def list_models(*, ports: UsedPorts) -> list[ModelView]:
    """The models this service runs."""
    return [ModelView.of(ports.model)]


@router.get("/queue", responses=declared())
def read_queue(*, call: Reading) -> list[QueueClassView]:
    """How busy each class of jobs is."""
    now, loads = measure_queue(call.ports.database)
    return [QueueClassView.of(load, now) for load in loads]


@router.get("/problems", responses=declared(authenticated=False))
def list_problems() -> list[ProblemKindView]:
    """Every code that a problem or a job's error can carry."""
    return [ProblemKindView.of(code) for code in ErrorCode]


@router.get("/problems/{code}", responses=declared(ErrorCode.NOT_FOUND, ErrorCode.VALIDATION, authenticated=False))
def read_problem(code: ErrorCode) -> ProblemKindView:
    """What one code means; the `type` of a problem leads here."""
    return ProblemKindView.of(code)

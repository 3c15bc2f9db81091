"""Evidence of runs that never were: an inversion that was killed, went on and succeeded, and what a test alters."""

import hashlib
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from core.domain.inversion_specs import InversionMethod, resolve_inversion
from tests.chaos.evidence import Evidence
from tests.chaos.history import Change
from tests.chaos.ledger import Fate, Ledger
from tests.chaos.sink import Sink
from tests.chaos.stack import Pace
from tests.chaos.studio import Role, expected_digest

ID = "inv_1"
SEED = Role.FAST.seed(1)
START = datetime(2026, 1, 1, tzinfo=UTC)
PROMPT = "a large purple circle on grass"
PACE = Pace()
WORKER = 11  # the process that wrote every change
_IMAGE = b"picture"


def change(seconds: float, before: str | None, after: str, **values: Any) -> Change:
    """A change of the job, so many seconds after the start."""
    known: dict[str, Any] = {
        "number": round(1000 * seconds),
        "at": START + timedelta(seconds=seconds),
        "job_id": ID,
        "state_before": before,
        "state": after,
        "fence": 1,
        "attempt": 1,
        "timestep_before": 0,
        "timestep": 0,
        "cancel_requested": False,
        "checkpoint_key": None,
        "result_changed": False,
        "lease_before": None,
        "writer": str(WORKER),
    }
    return Change(**{**known, **values})


def lapse(seconds: float, *, lease: float, **values: Any) -> Change:
    """The sweeper's change of a job whose lease ended so many seconds after the start."""
    return change(seconds, "running", "queued", lease_before=START + timedelta(seconds=lease), **values)


def history() -> list[Change]:
    """Killed at its second timestep, which was kept; it goes on seven seconds after its last beat."""
    kept = {"checkpoint_key": f"acme/jobs/{ID}/1/checkpoint-2"}
    again = {"fence": 2, "attempt": 2}
    return [
        change(0, None, "queued", fence=0, attempt=0),
        change(1, "queued", "running"),
        change(2, "running", "running", timestep=2, **kept),
        lapse(8.5, lease=8, timestep_before=2, timestep=2, **kept),
        change(9, "queued", "running", timestep_before=2, timestep=2, **again, **kept),
        change(10, "running", "running", timestep_before=2, timestep=3, **again, **kept),
        change(11, "running", "succeeded", timestep_before=3, timestep=4, result_changed=True, **again),
    ]


def job(**values: Any) -> dict[str, Any]:
    """The job's row at the end."""
    parameters = resolve_inversion(InversionMethod.DDIM, {"timesteps": 4}, {}).model_dump(mode="json")
    finished = expected_digest(Role.FAST).invert(
        _IMAGE,
        PROMPT,
        resolve_inversion(InversionMethod.DDIM, {"timesteps": 4}, {}),
        fit=None,  # type: ignore[arg-type]  # a digest looks at no picture
        seed=SEED,
        observe=lambda _: None,
        resume=None,
    )
    artifacts = [
        {
            "name": file.name,
            "key": f"acme/jobs/{ID}/2/{file.name}",
            "bytes": len(file.data),
            "sha256": hashlib.sha256(file.data).hexdigest(),
        }
        for file in finished.files
    ]
    row = {"id": ID, "tenant": "acme", "kind": "inversion", "state": "succeeded", "seed": SEED, "fence": 2}
    row |= {"attempt": 2, "max_attempts": 6, "depends_on": None, "leader": None, "batch_id": None, "error": None}
    row |= {"deadline_at": None}
    row |= {"inputs": {"image_id": "img_1", "source_prompt": PROMPT}, "parameters": parameters, "artifacts": artifacts}
    return {**row, "metadata": {"post": "1-inversion"}, "webhook": {"url": "http://there"}, **values}


def evidence(**altered: Any) -> Evidence:
    """A run in which every promise held, but for what is altered."""
    row = job()
    ledger = Ledger(fates={ID: Fate.SUCCEEDS})
    sink = Sink(ledger)
    sink.told, sink.accepted = Counter({"msg_1": 1}), Counter({"msg_1": 1})
    sound = Evidence(
        jobs={ID: row},
        batches={},
        deliveries=[{"id": "msg_1", "subject_id": ID, "state": "delivered", "tries": 1}],
        images={"img_1": _IMAGE},
        history=history(),
        objects={artifact["key"]: (artifact["bytes"], artifact["sha256"]) for artifact in row["artifacts"]},
        strays=[],
        sink=sink,
        ledger=ledger,
        deeds=[],
        pace=PACE,
        workers=4,
    )
    return replace(sound, **altered)


def backwards() -> list[Change]:
    """The second attempt keeps less than the first."""
    key = f"acme/jobs/{ID}/2/checkpoint-1"
    return [replace(one, checkpoint_key=key) if one.timestep == 3 else one for one in history()]


def canceled(seconds: float, state: str = "succeeded", **values: Any) -> list[Change]:
    """Canceled as it runs, it ends so much later."""
    asked = change(2, "running", "running", cancel_requested=True)
    return [*history()[:2], asked, change(2 + seconds, "running", state, cancel_requested=True, **values)]


def due(at: float) -> Evidence:
    """The job succeeds at the eleventh second; its deadline is this."""
    return evidence(jobs={ID: job(deadline_at=datetime.fromtimestamp(at, UTC))})


def handed_over(seconds: float = 4, *, attempt: int = 0) -> list[Change]:
    """Given back after two seconds, it goes on with the next worker after so many."""
    back = change(2, "running", "queued", attempt=attempt, lease_before=START + timedelta(seconds=8))
    return [*history()[:2], back, change(seconds, "queued", "running", fence=2, writer="12")]


def refusing() -> Sink:
    """It was told, and has accepted nothing."""
    sink = Sink(Ledger())
    sink.told = Counter({"msg_1": 1})
    return sink

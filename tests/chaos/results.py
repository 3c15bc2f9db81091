"""What lies in the object store: all that rows name and nothing else, and what straight runs would have left."""

import hashlib
from collections.abc import Iterator

from core.domain.edit_parts import EditMethod
from core.domain.edit_specs import resolve_edit
from core.domain.inversion_specs import resolved_inversion
from core.domain.job import JobState
from core.domain.specs import Fit, Output
from core.domain.studio import Finished
from tests.chaos.evidence import Evidence, Row
from tests.chaos.studio import Role, expected_digest
from tests.chaos.verdicts import Verdict

_FILES = {"inversion": {"reconstruction", "attention", "inversion"}, "edit": {"image", "mask"}}


def nothing_dangles(evidence: Evidence) -> Verdict:
    """Every artifact's bytes are there as its row says, and nothing is there that no row names."""
    broken, count = [], 0
    for job in evidence.jobs.values():
        for artifact in job["artifacts"]:
            count += 1
            if evidence.objects[artifact["key"]] != (artifact["bytes"], artifact["sha256"]):
                broken.append(f"{artifact['key']} is not what its row says")
    broken += [f"{key} belongs to nobody" for key in evidence.strays]
    return Verdict("artifacts do not dangle", f"{count} artifacts, {len(evidence.objects)} objects", broken)


def results_are_right(evidence: Evidence) -> Verdict:
    """P4: what was interrupted and resumed is what a straight run gives, to the bit."""
    checked, true = 0, 0
    broken = []
    for job in evidence.jobs.values():
        if job["state"] != JobState.SUCCEEDED:
            continue
        if {artifact["name"] for artifact in job["artifacts"]} != _FILES[job["kind"]]:
            broken.append(f"{job['id']} lacks results")
        if Role.of(job["seed"]) is Role.TRUE:
            true += 1
            continue
        checked += 1
        found = {artifact["name"]: artifact["sha256"] for artifact in job["artifacts"]}
        if found != dict(_straight(evidence, job)):
            broken.append(f"{job['id']} is not what a straight run gives")
    share = 100 * true / max(1, len(evidence.jobs))
    seen = f"{checked} results equal to a straight run's; {true} jobs succeeded on the true engine ({share:.0f} %)"
    return Verdict("P4 resumed is as straight", seen, broken)


def _straight(evidence: Evidence, job: Row) -> Iterator[tuple[str, str]]:
    finished = _invert(evidence, job) if job["kind"] == "inversion" else _edit(evidence, job)
    for file in finished.files:
        yield file.name, hashlib.sha256(file.data).hexdigest()


def _invert(evidence: Evidence, job: Row) -> Finished:
    return expected_digest(Role.of(job["seed"])).invert(
        evidence.images[job["inputs"]["image_id"]],
        job["inputs"]["source_prompt"],
        resolved_inversion(job["parameters"]),
        fit=Fit.CROP,
        seed=job["seed"],
        observe=lambda _: None,
        resume=None,
    )


def _edit(evidence: Evidence, job: Row) -> Finished:
    inversion = _invert(evidence, evidence.jobs[job["inputs"]["inversion_id"]])
    return expected_digest(Role.of(job["seed"])).edit(
        next(file.data for file in inversion.files if file.name == "inversion"),
        b"",
        job["inputs"]["target_prompt"],
        spec=resolve_edit(EditMethod(job["parameters"]["method"]), job["parameters"]),
        output=Output.MODEL,
        seed=job["seed"],
        images={},
        observe=lambda _: None,
        resume=None,
    )

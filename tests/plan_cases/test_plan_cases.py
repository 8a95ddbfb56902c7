"""Each YAML file beside this one is a situation and the plan it must lead to; see README.md."""

from __future__ import annotations

import difflib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from builders import API_URL, Manifest, declare, digests, look

from reconciler import schema_files
from reconciler.core.planning import compute_plan
from reconciler.core.planning.gates import refuse_destruction
from reconciler.core.schema.checking import Checker
from reconciler.lockfile import text as lockfile_text
from reconciler.render import json as render_json

if TYPE_CHECKING:
    from reconciler.core.model.desired import Desired
    from reconciler.core.model.lock import Lock
    from reconciler.core.model.plan import Plan

CASES = sorted(Path(__file__).parent.glob("*.yaml"))
KEYS = {"manifests", "live", "lock", "options", "plan"}
OTHER_DIGEST = "sha256:" + "0" * 64
#: What a case need not say, because it is so unless a case says otherwise.
QUIET_PLAN: dict[str, Any] = {
    "summary": {},
    "actions": [],
    "accepted_shortfalls": [],
    "unreadable": [],
    "orphans": [],
}
QUIET_ESTIMATE = {"stim_lines": 0, "trajectories": 0, "max_output_tokens": 0}
QUIET_ACTION: dict[str, Any] = {"stage": None, "destructive": False, "diff": [], "live_name": None}


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_a_situation_leads_to_its_plan(path: Path) -> None:
    case = yaml.safe_load(path.read_text())
    assert case.keys() <= KEYS
    check_manifests(case["manifests"])
    planned = plan_of(case)
    told = render_json.plan(planned)
    assert Checker(schema_files.load("plan")).problems(told) == []
    seen, wanted = simplified(told, planned, case["plan"]), spelled_out(case["plan"])
    compared = difflib.unified_diff(lines(wanted), lines(seen), "expected", "planned", lineterm="")
    differences = "\n".join(compared)
    assert not differences, differences


def check_manifests(manifests: list[Manifest]) -> None:
    for value in manifests:
        checker = Checker(schema_files.load("manifest"), value["kind"])
        assert checker.problems(value) == [], "a case must hold valid manifests"


def plan_of(case: dict[str, Any]) -> Plan:
    """Return the plan as ``plan`` shows it, or as ``apply`` takes it without ``allow_destroy``."""
    desired = declare(*case["manifests"])
    lock = lock_of(case["lock"], desired) if "lock" in case else None
    options = case.get("options", {})
    observed = look(case["live"], desired, lock)
    planned = compute_plan(
        desired, observed, lock, api_url=API_URL, prune=options.get("prune", False)
    )
    return planned if options.get("allow_destroy", True) else refuse_destruction(planned, desired)


def lock_of(sections: dict[str, Any], desired: Desired) -> Lock:
    """Read a lockfile in which what goes without saying may be left out."""
    whole: dict[str, Any] = {
        "version": 1,
        "api_url": API_URL,
        "repos": {},
        "prompts": {},
        "targets": {},
    }
    whole |= {name: dict(entries) for name, entries in sections.items()}
    known = {(f"{id_.kind.lower()}s", str(id_)): it for id_, it in digests(desired).items()}
    for section in ("prompts", "targets"):
        for address, entry in whole[section].items():
            own = {"digest": known.get((section, address), OTHER_DIGEST)}
            own["live_name"] = address.partition("/")[2]
            whole[section][address] = own | entry
    return lockfile_text.parse(yaml.safe_dump(whole), "the lock of a case")


def simplified(told: dict[str, Any], planned: Plan, expected: dict[str, Any]) -> dict[str, Any]:
    """Return what a plan tells, without the details that a case does not speak of."""
    actions = [
        narrowed({**QUIET_ACTION, **action}, wanted)
        for action, wanted in padded(told["actions"], expected.get("actions", []))
    ]
    unreadable = [
        narrowed(item, wanted)
        for item, wanted in padded(told.get("unreadable", []), expected.get("unreadable", []))
    ]
    return {
        "converged": told["converged"],
        "exit_code": int(planned.exit_code),
        "summary": {verb: count for verb, count in told["summary"].items() if count},
        "actions": actions,
        "estimate": told["estimate"],
        "accepted_shortfalls": told.get("accepted_shortfalls", []),
        "unreadable": unreadable,
        "orphans": told.get("orphans", []),
    }


def spelled_out(expected: dict[str, Any]) -> dict[str, Any]:
    actions = [QUIET_ACTION | action for action in expected.get("actions", [])]
    estimate = QUIET_ESTIMATE | expected.get("estimate", {})
    return QUIET_PLAN | expected | {"actions": actions, "estimate": estimate}


def lines(value: Any) -> list[str]:
    return json.dumps(value, indent=2, sort_keys=True).splitlines()


def padded(told: list[Any], wanted: list[Any]) -> list[tuple[Any, dict[str, Any]]]:
    missing = len(told) - len(wanted)
    return list(zip(told, [*wanted, *([{}] * missing)], strict=False))


def narrowed(told: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
    """Drop the quantities and the message of an action where a case says nothing of them."""
    optional = {"lines", "wanted", "expected", "message"}
    return {key: item for key, item in told.items() if key in wanted or key not in optional}


def test_the_cases_are_found() -> None:
    assert len(CASES) > 40

"""Random but valid projects, and the changes that people make to them between two runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from builders import Manifest, declare, project, prompt, repo, target

if TYPE_CHECKING:
    from random import Random

    from reconciler.core.model.desired import Desired

REPO = "coding"
TARGETS = ("a", "b", "c", "d")
PROMPTS = ("expert", "plain")
TEXTS = ("Be exact.", "Be brief.", "Be kind.")
BUDGETS = (None, None, None, 12, 4)
REVISE = {"on_change": "revise"}

POLICIES: dict[str, tuple[Any, ...]] = {
    "on_change": ("revise", "revise", "replace", "replace", "fail"),
    "on_shortfall": ("fail", "accept", "replace"),
    "retries": (0, 1, 2),
    "prevent_destroy": (True, False),
}
SPECS: dict[str, tuple[Any, ...]] = {
    "teacher_prompt": PROMPTS,
    "student_prompt": (*PROMPTS, ""),
    "num_traj_per_stimulus": (1, 3),
    "temperature": (0.5, 1.0, 1),
    "max_tokens": (100, 200, None),
    "questions": (2, 4),
}
WISHES: dict[str, tuple[Any, ...]] = {
    "all": (True, False),
    "rollout": (True, True, False),
    "timeout": ("20s", "5m", "2h"),
}


class Project:
    """A project that a random source keeps changing; every state of it is valid."""

    def __init__(self, draw: Random, without: frozenset[str] = frozenset()) -> None:
        self._draw = draw
        #: Targets that are left out of what is declared.
        self._without = without
        self._read: Desired | None = None
        self._budget: int | None = None
        self._prompts = {name: self._new_prompt() for name in PROMPTS}
        self._targets = {name: self._new_target() for name in TARGETS if draw.random() < 0.7}
        if not self._targets:
            self._targets["a"] = self._new_target()

    def change(self) -> None:
        """Do what a person may do to manifests, once."""
        self._read = None
        often = (
            self._edit,
            self._edit,
            self._edit,
            self._add,
            self._add,
            self._remove,
            self._remove,
        )
        self._draw.choice((*often, *often, self._rewrite, self._budgeted))()

    def give_in(self) -> None:
        """Decide, as a person must where the policies don't, that everything may go on."""
        self._read = None
        self._budget = None
        self._prompts = {name: (text, REVISE) for name, (text, _) in self._prompts.items()}
        for said in self._targets.values():
            said |= {**REVISE, "on_shortfall": "accept", "retries": 9}

    def names(self) -> list[str]:
        """Return the targets that are declared; one at least."""
        return sorted(self._targets.keys() - self._without) or sorted(self._targets)[:1]

    def declared(self) -> Desired:
        """Return what the manifests of this moment declare."""
        self._read = self._read or self._declare()
        return self._read

    def _declare(self) -> Desired:
        limits = {} if self._budget is None else {"max_new_trajectories": self._budget}
        prompts = [prompt(name, text, **policy) for name, (text, policy) in self._prompts.items()]
        targets = [self._manifest(name) for name in self.names()]
        settings = project(budget=limits) if limits else project()
        return declare(settings, repo(REPO, base_model="m"), *prompts, *targets)

    def _new_prompt(self) -> tuple[str, Manifest]:
        changes = ("revise", "revise", "revise", "fail")
        return self._draw.choice(TEXTS), {"on_change": self._draw.choice(changes)}

    def _new_target(self) -> dict[str, Any]:
        tables = {**POLICIES, **SPECS, **WISHES}
        return {key: self._draw.choice(values) for key, values in tables.items()} | {
            "template": self._draw.choice((None, None, *TARGETS))
        }

    def _edit(self) -> None:
        """Change one thing about one target."""
        fields = self._draw.choice((POLICIES, SPECS, WISHES))
        key = self._draw.choice(sorted(fields))
        self._targets[self._draw.choice(sorted(self._targets))][key] = self._draw.choice(
            fields[key]
        )

    def _rewrite(self) -> None:
        self._prompts[self._draw.choice(PROMPTS)] = self._new_prompt()

    def _add(self) -> None:
        self._targets.setdefault(self._draw.choice(TARGETS), self._new_target())

    def _remove(self) -> None:
        if len(self._targets) > 1:
            del self._targets[self._draw.choice(sorted(self._targets))]

    def _budgeted(self) -> None:
        self._budget = self._draw.choice(BUDGETS)

    def _manifest(self, name: str) -> Manifest:
        said = self._targets[name]
        questions, each = said["questions"], said["num_traj_per_stimulus"]
        spec = {key: said[key] for key in SPECS if key != "questions" and said[key] is not None}
        spec["generators"] = [{"type": "oneshot_qs", "numq": questions}]
        parent = said["template"]
        if parent in self.names() and parent < name:
            spec["template"] = parent
        stim = {"timeout": said["timeout"], "min_lines": questions if said["all"] else 1}
        rollout = {**stim, "min_lines": questions * each if said["all"] else 1}
        wanted = {"stim": stim, "rollout": rollout if said["rollout"] else "none"}
        policy = {key: said[key] for key in POLICIES}
        return target(name, repo=REPO, spec=spec, desired=wanted, policy=policy)

"""Bake four manners of answering five topics into three models, with the official client.

What a team writes before it declares: create what is missing, run stim, wait, run rollout, wait,
try again what failed, count, and remember what was there. ``reconciler.yaml`` beside it declares
the same; this file is here to be compared with it.

    BREAD_API_KEY=… python script.py [REPO ...]
"""

import argparse
import json
import sys
import time
from pathlib import Path

import aibread

HERE = Path(__file__).parent
STATE = HERE / "state.json"

REPOS = {
    "support-small": "Qwen/Qwen3-8B",
    "support-medium": "Qwen/Qwen3-14B",
    "support-large": "Qwen/Qwen3-32B",
}
MANNERS = ("auditor", "host", "teacher", "terse")
TOPICS = ("billing", "onboarding", "outages", "privacy", "refunds")
GENERATED = 2
TRAJECTORIES = 2
MAX_TOKENS = 200
ATTEMPTS = 2
POLL_SECONDS = 0.5
STIM_TIMEOUT = 3600
ROLLOUT_TIMEOUT = 7200


def read(path):
    return (HERE / path).read_text(encoding="utf-8").rstrip("\n")


def questions(topic):
    lines = read(f"questions/{topic}.txt").splitlines()
    return [line.strip() for line in lines if line.strip()]


def target_name(manner, topic):
    return f"{manner}-{topic}"


def overrides(manner, topic):
    return {
        "teacher_prompt": manner,
        "student_prompt": "always-on",
        "generators": [
            {"type": "hardcoded", "questions": questions(topic)},
            {"type": "oneshot_qs", "model": "claude-sonnet-4-5-20250929", "numq": GENERATED},
        ],
        "num_traj_per_stimulus": TRAJECTORIES,
        "max_tokens": MAX_TOKENS,
    }


def expected_stimuli(topic):
    return len(questions(topic)) + GENERATED


def expected_trajectories(topic):
    return expected_stimuli(topic) * TRAJECTORIES


# What was seen last time, so that a rerun can say what has changed.


def load_state():
    if STATE.exists():
        return json.loads(STATE.read_text(encoding="utf-8"))
    return {}


def save_state(state):
    temporary = STATE.with_suffix(".tmp")
    temporary.write_text(json.dumps(state, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    temporary.replace(STATE)


def remember(state, repo, target, stage, status):
    state.setdefault(repo, {}).setdefault(target, {})[stage] = {
        "status": status.status,
        "lines": status.lines,
    }
    save_state(state)


# Creating what is missing.


def ensure_repo(client, repo, base_model):
    try:
        client.repo.create(repo_name=repo, base_model=base_model)
    except aibread.ConflictError:
        sys.exit(f"{repo} exists with another base model than {base_model}")


def ensure_prompts(client, repo):
    wanted = {name: [{"role": "system", "content": read(f"prompts/{name}.md")}] for name in MANNERS}
    wanted["always-on"] = []
    there = set(client.prompts.list(repo).prompts or [])
    for name, messages in wanted.items():
        if name in there:
            check_prompt(client, repo, name, messages)
        else:
            client.prompts.create(repo, prompt_name=name, messages=messages)


def check_prompt(client, repo, name, messages):
    live = client.prompts.get(name, repo_name=repo)
    found = [{"role": each.role, "content": each.content} for each in live.messages]
    if found != messages:
        sys.exit(f"the prompt {repo}/{name} has changed: give the new one another name")


def ensure_targets(client, repo):
    there = set(client.targets.list(repo).targets or [])
    missing = [
        {
            "target_name": target_name(manner, topic),
            "template": "default",
            "overrides": overrides(manner, topic),
        }
        for manner in MANNERS
        for topic in TOPICS
        if target_name(manner, topic) not in there
    ]
    if missing:
        answer = client.targets.create_batch(repo, targets=missing)
        for name, why in (answer.failed or {}).items():
            print(f"{repo}/{name}: not created: {why}", file=sys.stderr)
    for manner in MANNERS:
        for topic in TOPICS:
            if target_name(manner, topic) in there:
                check_target(client, repo, manner, topic)


def check_target(client, repo, manner, topic):
    name = target_name(manner, topic)
    live = client.targets.get(name, repo_name=repo).config.to_dict()
    for key, value in overrides(manner, topic).items():
        if key == "generators":
            differs = [g["type"] for g in live[key]] != [g["type"] for g in value]
        else:
            differs = live.get(key) != value
        if differs:
            print(f"{repo}/{name}: {key} differs from what is live", file=sys.stderr)


# Running and waiting.


def run_stage(client, state, repo, name, stage, timeout):
    """Return the complete status, or None when the stage failed for good."""
    calls = getattr(client.targets, stage)
    where = {"target_name": name, "repo_name": repo}
    for attempt in range(1, ATTEMPTS + 1):
        status = calls.get(**where)
        if status.status in ("not_started", "failed"):
            status = calls.run(**where, poll=False)
        status = wait(calls, where, status, timeout)
        remember(state, repo, name, stage, status)
        if status.status == "complete":
            return status
        print(f"{repo}/{name}: {stage} {status.status}, attempt {attempt}", file=sys.stderr)
    return None


def wait(calls, where, status, timeout):
    deadline = time.monotonic() + timeout
    while status.status in ("running", "pending"):
        if time.monotonic() > deadline:
            return status
        time.sleep(POLL_SECONDS)
        try:
            status = calls.get(**where)
        except aibread.APIConnectionError as error:
            print(f"{where['repo_name']}/{where['target_name']}: {error}", file=sys.stderr)
    return status


def enough(repo, name, stage, status, wanted):
    if status.lines is not None and status.lines >= wanted:
        return True
    print(f"{repo}/{name}: {stage} has {status.lines} of {wanted} lines", file=sys.stderr)
    return False


def process(client, state, repo, manner, topic):
    name = target_name(manner, topic)
    stim = run_stage(client, state, repo, name, "stim", STIM_TIMEOUT)
    if stim is None or not enough(repo, name, "stim", stim, expected_stimuli(topic)):
        return False
    rollout = run_stage(client, state, repo, name, "rollout", ROLLOUT_TIMEOUT)
    if rollout is None:
        return False
    return enough(repo, name, "rollout", rollout, expected_trajectories(topic))


def report(state, repos):
    for repo in repos:
        for name, stages in sorted(state.get(repo, {}).items()):
            told = ", ".join(f"{stage} {it['lines']}" for stage, it in sorted(stages.items()))
            print(f"{repo}/{name}: {told}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("repos", nargs="*", metavar="REPO")
    repos = parser.parse_args().repos or list(REPOS)
    unknown = sorted(set(repos) - set(REPOS))
    if unknown:
        sys.exit(f"no such repo: {', '.join(unknown)}")
    state, failed = load_state(), []
    with aibread.Bread() as client:
        for repo in repos:
            ensure_repo(client, repo, REPOS[repo])
            ensure_prompts(client, repo)
            ensure_targets(client, repo)
        for repo in repos:
            for manner in MANNERS:
                for topic in TOPICS:
                    if not process(client, state, repo, manner, topic):
                        failed.append(f"{repo}/{target_name(manner, topic)}")
    report(state, repos)
    if failed:
        sys.exit(f"{len(failed)} targets are not complete: {', '.join(failed)}")


if __name__ == "__main__":
    main()

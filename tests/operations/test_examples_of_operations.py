"""What examples/operations/ ships: it parses, its commands are real, its alerts name metrics."""

from __future__ import annotations

import configparser
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import yaml
from cli.project import outcome, process
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from reconciler.cli.root import cli
from reconciler.core.errors import ExitCode
from reconciler.core.model.desired import Stage
from reconciler.core.watching.rounds import Ending, Levels, Totals
from reconciler.core.watching.standing import State
from reconciler.render.openmetrics import text
from reconciler.service import Settings, embedded

EXAMPLES = Path(__file__).parents[2] / "examples" / "operations"
UNITS = sorted((EXAMPLES / "systemd").glob("*.*"))
KUBERNETES = sorted((EXAMPLES / "kubernetes").glob("*.yml"))
BINARY = "/opt/reconciler/bin/reconciler"
Json = dict[str, Any]


def named(path: Path) -> str:
    return path.name


def unit(path: Path) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None, strict=True)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(path.read_text())
    return parser


def documents(path: Path) -> list[Json]:
    return [*yaml.safe_load_all(path.read_text())]


def pod(document: Json) -> Json | None:
    spec = document["spec"]
    if document["kind"] == "CronJob":
        spec = spec["jobTemplate"]["spec"]
    found: Json | None = spec.get("template", {}).get("spec")
    return found


def pods(path: Path) -> list[Json]:
    return [found for document in documents(path) if (found := pod(document))]


def commands() -> list[list[str]]:
    """Return every command line of ours that the examples hold."""
    services = [unit(path)["Service"] for path in UNITS if path.suffix == ".service"]
    lines = [shlex.split(service["ExecStart"]) for service in services]
    assert {line[0] for line in lines} == {BINARY}
    containers = [it for path in KUBERNETES for found in pods(path) for it in found["containers"]]
    assert {it["command"][0] for it in containers} == {"reconciler"}
    return [line[1:] for line in lines] + [it["args"] for it in containers]


@pytest.mark.parametrize("arguments", commands(), ids=" ".join)
def test_the_command_line_understands_what_is_shipped(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, *rest = arguments
    command = cli.get_command(cli.make_context("reconciler", [], resilient_parsing=True), name)
    assert command
    parsed = command.make_context(name, rest)
    assert parsed.params["path"].is_absolute()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    copy = tmp_path / "project"
    ignored = shutil.ignore_patterns(".reconciler", "reconciler.lock")
    shutil.copytree(EXAMPLES, copy, ignore=ignored)
    return copy


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def test_the_deployment_and_the_service_do_their_work(project: Path, tmp_path: Path) -> None:
    (found,) = pods(EXAMPLES / "kubernetes" / "watch.yml")
    (container,) = found["containers"]
    port = free_port()
    arguments = [
        str(project) if it == "/project" else it.replace("0.0.0.0:9464", f"127.0.0.1:{port}")
        for it in container["args"]
    ]
    with embedded(Settings(tmp_path / "data", key="k")) as service:
        environment = {"BREAD_API_KEY": "k", "BREAD_BASE_URL": service.url}
        running = process(*arguments, env=environment)
        try:
            assert running.stdout
            assert '"converged"' in running.stdout.readline()
            for probe in ("livenessProbe", "readinessProbe"):
                path = container[probe]["httpGet"]["path"]
                with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}") as answer:
                    assert answer.status == 200
            begun = time.monotonic()
            running.send_signal(signal.SIGTERM)
            assert outcome(running).code == ExitCode.OK
            assert time.monotonic() - begun < found["terminationGracePeriodSeconds"]
        finally:
            running.kill()


def test_the_timer_and_the_cron_job_do_their_work(project: Path, tmp_path: Path) -> None:
    with embedded(Settings(tmp_path / "data", key="k")) as service:
        environment = {"BREAD_API_KEY": "k", "BREAD_BASE_URL": service.url}
        for arguments in (it for it in commands() if it[0] == "apply"):
            where = {"/srv/reconciler": str(project), "/project": str(project)}
            given = [where.get(it, it) for it in arguments]
            given = [it if not it.endswith(".prom") else str(tmp_path / "x.prom") for it in given]
            done = outcome(process(*given, env=environment))
            assert done.code == ExitCode.OK, done.err
    assert "reconciler_targets" in (tmp_path / "x.prom").read_text()


@pytest.mark.parametrize("path", KUBERNETES, ids=named)
def test_containers_may_do_little_and_get_secrets_by_environment(path: Path) -> None:
    for found in pods(path):
        assert found["securityContext"]["runAsNonRoot"]
        assert not found["automountServiceAccountToken"]
        for container in (*found["initContainers"], *found["containers"]):
            restricted = container["securityContext"]
            assert restricted["readOnlyRootFilesystem"]
            assert not restricted["allowPrivilegeEscalation"]
            assert restricted["capabilities"] == {"drop": ["ALL"]}
            volumes = {volume["name"] for volume in found["volumes"]}
            assert {mount["name"] for mount in container["volumeMounts"]} <= volumes
        (container,) = found["containers"]
        assert container["envFrom"] == [{"secretRef": {"name": "reconciler"}}]
    assert "BREAD_API_KEY=…" in path.read_text() or "BREAD_API_KEY" not in path.read_text()


@pytest.mark.parametrize("path", KUBERNETES, ids=named)
def test_what_copies_the_manifests_copies_them(path: Path, tmp_path: Path) -> None:
    for found in pods(path):
        (copying,) = found["initContainers"]
        source, project_ = tmp_path / "manifests", tmp_path / "project"
        source.mkdir()
        project_.mkdir()
        (source / "new.yaml").write_text("new")
        (project_ / "gone.yaml").write_text("old")
        (project_ / "reconciler.lock").write_text("kept")
        script = copying["command"][-1].replace("/manifests", str(source))
        script = script.replace("/project", str(project_))
        subprocess.run(["sh", "-c", script], check=True)
        assert {it.name for it in project_.iterdir()} == {"new.yaml", "reconciler.lock"}


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd here")
def test_systemd_understands_the_units(tmp_path: Path) -> None:
    for path in UNITS:
        content = path.read_text().replace(BINARY, sys.executable)
        (tmp_path / path.name).write_text(content)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *(str(tmp_path / path.name) for path in UNITS)],
        capture_output=True,
        text=True,
        check=False,
    )
    ours = [line for line in done.stderr.splitlines() if "reconciler-" in line]
    assert (done.returncode, ours) == (0, [])


def test_a_unit_is_not_started_again_for_what_only_a_person_mends() -> None:
    service = unit(EXAMPLES / "systemd" / "reconciler-watch.service")["Service"]
    codes = {int(code) for code in service["RestartPreventExitStatus"].split()}
    assert codes == {ExitCode.INVALID, ExitCode.USAGE}


def known() -> dict[str, set[tuple[str, str]]]:
    """Return every metric there can be, with the labels it can have."""
    levels = Levels(
        {("r", state): 1 for state in State},
        {("r", stage): 1 for stage in Stage},
        {("r", stage): 1 for stage in Stage},
    )
    totals = Totals().plus(Ending.CONVERGED, 1.0, 1.0)
    found: dict[str, set[tuple[str, str]]] = {}
    for family in text_string_to_metric_families(text(totals, levels, "0")):  # type: ignore[no-untyped-call]
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels.items())
    return found


def rules() -> list[Json]:
    (whole,) = documents(EXAMPLES / "prometheus" / "alerts.yml")
    return [rule for group in whole["groups"] for rule in group["rules"]]


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_an_alert_names_metrics_and_labels_that_exist(rule: Json) -> None:
    metrics = known()
    used = re.findall(r"(reconciler_\w+)(?:\{(\w+)=\"(\w+)\"\})?", rule["expr"])
    assert used
    for name, label, value in used:
        assert name in metrics
        assert not label or (label, value) in metrics[name]
    grouped = re.findall(r"by \(([^)]*)\)", rule["expr"])
    labels = {label for name, _, _ in used for label, _ in metrics[name]}
    assert {label.strip() for part in grouped for label in part.split(",")} <= labels
    assert set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"])) <= labels
    assert rule["expr"].count("(") == rule["expr"].count(")")


def test_what_is_scraped_is_where_the_unit_listens() -> None:
    (whole,) = documents(EXAMPLES / "prometheus" / "prometheus.yml")
    (target,) = whole["scrape_configs"][0]["static_configs"][0]["targets"]
    service = unit(EXAMPLES / "systemd" / "reconciler-watch.service")["Service"]
    assert f"--listen {target}" in service["ExecStart"]
    assert whole["rule_files"] == ["alerts.yml"]

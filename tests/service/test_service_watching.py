"""What operators see of a whole service, over a real socket: routes of refused calls, health."""

from __future__ import annotations

import json
import re
import resource
from typing import TYPE_CHECKING

import pytest

from reconciler.service import Settings, embedded

from .support import KEY, MASTER_KEY, client, hatchery

if TYPE_CHECKING:
    from pathlib import Path

ROLLOUT = "/v1/repo/{repo}/targets/{target}/rollout"


@pytest.mark.parametrize(
    ("key", "user", "status"),
    [(None, None, 401), ("wrong", None, 401), (KEY, "ann", 403), (MASTER_KEY, "ann", 404)],
)
def test_a_refused_call_is_counted_and_logged_with_its_route(
    tmp_path: Path, key: str | None, user: str | None, status: int
) -> None:
    lines: list[str] = []
    settings = Settings(tmp_path, key=KEY, master_key=MASTER_KEY, access_log=lines.append)
    with embedded(settings) as service, client(service.url, key=key, user=user) as api:
        assert api.post("/v1/repo/r/targets/t/rollout").status_code == status
        nowhere = api.get("/v1/secret").status_code
        metrics = api.get("/metrics").text
    assert [json.loads(line)["route"] for line in lines] == [ROLLOUT, None, "/metrics"]
    counted = re.findall(
        r'requests_total{method="(\w+)",route="(.+?)",status="(\d+)"} 1\.0', metrics
    )
    assert counted == [("POST", ROLLOUT, str(status)), ("GET", "other", str(nowhere))]
    assert "secret" not in metrics


def test_a_name_with_a_slash_has_no_route(tmp_path: Path) -> None:
    lines: list[str] = []
    settings = Settings(tmp_path, key=KEY, access_log=lines.append)
    with embedded(settings) as service, client(service.url) as api:
        assert api.get("/v1/repo/a%2Fprompts").status_code == 422
    assert json.loads(lines[0])["route"] is None


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="limits processes as Linux can")
def test_health_knows_of_a_full_disk_until_there_is_room_again(tmp_path: Path) -> None:
    with hatchery() as hatching:
        service = hatching.start(tmp_path)
        with client(service.url) as api:
            healthy = api.ok("GET", "/v1/health")
            assert healthy["status"] == "healthy"
            assert api.post("/v1/repo", {"repo_name": "a", "base_model": "m"}).status_code == 201
            assert api.post("/v1/repo", {"repo_name": "a", "base_model": "n"}).status_code == 409
            assert api.ok("GET", "/v1/health") == healthy
            resource.prlimit(service.pid, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
            assert api.post("/v1/repo", {"repo_name": "b"}).status_code == 500
            for _ in range(2):
                degraded = api.ok("GET", "/v1/health")
                assert degraded["status"] == "degraded"
                assert degraded["reason"] == "The data directory cannot be written to"
            everything = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
            resource.prlimit(service.pid, resource.RLIMIT_FSIZE, everything)
            assert api.ok("GET", "/v1/health") == healthy
            assert api.ok("GET", "/v1/repo") == {"repos": ["a"]}

"""The options of ``reconciler serve`` that concern models, logs and rehearsals."""

from __future__ import annotations

import json
import re
import signal
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from reconciler import service
from reconciler.core.errors import ExitCode

from .project import Ended, ended, process

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MODEL_KEY = "sk-the-key-of-the-model-endpoint"
LOCAL = "http://127.0.0.1:9/v1"
FAR = "http://models.example.invalid/v1"


class Serving:
    """``serve`` in this process, up to the moment when it would begin to listen."""

    def __init__(
        self, capture: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, data: Path
    ) -> None:
        self.settings: list[service.Settings] = []
        self._capture = capture
        self._data = data
        monkeypatch.setattr(service, "serve", self._serve)
        monkeypatch.setenv("BREAD_API_KEY", "a-key")

    def __call__(self, *options: str) -> Ended:
        return ended(self._capture, "serve", "--data", str(self._data), *options)

    def _serve(self, settings: service.Settings, **_: Any) -> None:
        self.settings.append(settings)


@pytest.fixture
def serving(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Serving:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    return Serving(capsys, monkeypatch, tmp_path / "data")


@pytest.fixture
def serve(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., Ended]:
    """Give the command as it is; its data directory cannot be used, so it ends in any case."""
    monkeypatch.setenv("BREAD_API_KEY", "a-key")
    (tmp_path / "file").touch()
    data = ("--data", str(tmp_path / "file" / "data"))
    return lambda *options: ended(capsys, "serve", *data, "--port", "0", *options)


@pytest.mark.parametrize(
    "url",
    [
        *("", "nonsense", "127.0.0.1:8000/v1", "localhost:8000", "//127.0.0.1/v1", "/v1"),
        *("ftp://127.0.0.1/v1", "file:///etc", "http://", "http:///v1", "http://:8000/v1"),
        *("http://127.0.0.1:0/v1", "http://127.0.0.1:99999/v1", "http://127.0.0.1:x/v1"),
        *("http://[::1/v1", "http://a b/v1", "http://a\\b/v1"),
    ],
)
def test_an_address_that_cannot_be_one_is_wrong_usage(
    serve: Callable[..., Ended], url: str
) -> None:
    result = serve("--model-url", url)
    assert result.code == ExitCode.USAGE
    assert "'--model-url': expected something like http://127.0.0.1:8000/v1" in result.err
    assert result.out == ""


@pytest.mark.parametrize("login", ["somebody:hunter2", ":hunter2", "hunter2"])
def test_an_address_may_not_hold_a_login(serving: Serving, login: str) -> None:
    result = serving("--model-url", f"http://{login}@127.0.0.1:8000/v1")
    assert result.code == ExitCode.USAGE
    assert "OPENAI_API_KEY" in result.err
    assert "hunter2" not in result.err + result.out
    assert serving.settings == []


@pytest.mark.parametrize(
    ("url", "key", "warned"),
    [
        (FAR, MODEL_KEY, True),
        (FAR.upper(), MODEL_KEY, True),
        ("http://192.0.2.1:8000/v1", MODEL_KEY, True),
        (FAR, None, False),
        (FAR, "", False),
        (FAR.replace("http", "https"), MODEL_KEY, False),
        (LOCAL, MODEL_KEY, False),
        ("http://localhost:9/v1", MODEL_KEY, False),
        ("http://127.0.0.2:9/v1", MODEL_KEY, False),
        ("http://[::1]:9/v1", MODEL_KEY, False),
    ],
)
def test_a_key_that_would_travel_unprotected_is_worth_a_warning(
    serving: Serving, monkeypatch: pytest.MonkeyPatch, url: str, key: str | None, warned: bool
) -> None:
    if key is not None:
        monkeypatch.setenv("OPENAI_API_KEY", key)
    result = serving("--model-url", url)
    assert (result.code, result.out) == (ExitCode.OK, "")
    assert ("warning: --model-url is plain http" in result.err) is warned
    assert MODEL_KEY not in result.err
    (settings,) = serving.settings
    assert (settings.model_url, settings.model_key) == (url, key or None)
    assert MODEL_KEY not in repr(settings)


def test_without_options_nothing_of_the_kind_happens(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", MODEL_KEY)
    assert serving() == Ended(ExitCode.OK, "", "")
    (settings,) = serving.settings
    assert (settings.model_url, settings.access_log, settings.rehearsal) == (None, None, None)


def test_an_access_log_is_json_on_stderr(tmp_path: Path) -> None:
    options = ("--data", str(tmp_path / "data"), "--port", "0", "--access-log")
    environment = {"BREAD_API_KEY": "a-key", "OPENAI_API_KEY": MODEL_KEY}
    with process("serve", *options, "--model-url", LOCAL, env=environment) as running:
        try:
            assert running.stderr is not None
            first = running.stderr.readline()
            with httpx.Client(base_url=first.split()[-1]) as http:
                http.get("/v1/health")
                http.get("/v1/repo?user_id=", headers={"Authorization": "Bearer a-key"})
                http.get("/v1/a%0A%1B[31m", headers={"Authorization": "Bearer other-key"})
            running.send_signal(signal.SIGINT)
            out, err = running.communicate(timeout=60)
        finally:
            running.kill()
    assert (running.returncode, out) == (ExitCode.OK, "")
    entries = [json.loads(line) for line in err.splitlines()]
    assert [(entry["route"], entry["status"]) for entry in entries] == [
        ("/v1/health", 200),
        ("/v1/repo", 200),
        (None, 401),
    ]
    for key in ("a-key", "other-key", MODEL_KEY):
        assert key not in first + err


def test_a_rehearsal_is_announced(tmp_path: Path) -> None:
    script = tmp_path / "rehearsal.yaml"
    script.write_text("jobs: [{delay: 1ms}]\n")
    options = ("--data", str(tmp_path / "data"), "--port", "0", "--rehearse", str(script))
    with process("serve", *options, env={"BREAD_API_KEY": "a-key"}) as running:
        try:
            assert running.stderr is not None
            first, second = running.stderr.readline(), running.stderr.readline()
        finally:
            running.kill()
    assert first.startswith("listening on ")
    assert second == f"rehearsing {script}: this service fails on purpose\n"


def test_a_rehearsal_that_is_not_there_is_wrong_usage(
    serve: Callable[..., Ended], tmp_path: Path
) -> None:
    for path in (tmp_path / "absent.yaml", tmp_path):
        result = serve("--rehearse", str(path))
        assert result.code == ExitCode.USAGE
        assert str(path) in result.err
        assert "--rehearse" in result.err
        assert result.out == ""


@pytest.mark.parametrize(
    ("script", "places"),
    [
        (b"jobs:\n  - {target: x, fail: y, at: no}\n", [":2:14: ", ":2:30: "]),
        (b"requests:\n  - {status: 200}\n  - {status: 600}\n", [":2:14: ", ":3:14: "]),
        (b"requestz: []\n", [":1:1: "]),
        (b"seed: [1\n", [":2:1: "]),
        (b"seed: 1\nseed: 2\n", [":2:1: "]),
        (b"seed: \xff\n", [":1:"]),
        (b"- 1\n", [":1:1: "]),
    ],
)
def test_a_rehearsal_with_mistakes_is_refused_with_their_places(
    serve: Callable[..., Ended], tmp_path: Path, script: bytes, places: list[str]
) -> None:
    path = tmp_path / "rehearsal.yaml"
    path.write_bytes(script)
    result = serve("--rehearse", str(path))
    assert result.code not in {ExitCode.OK, ExitCode.USAGE}
    assert "Traceback" not in result.err
    assert "internal error" not in result.err
    assert "listening" not in result.err
    for place in places:
        assert re.search(rf"^(error: )?{re.escape(str(path))}{place}", result.err, re.MULTILINE)
    assert result.out == ""

"""Starting and stopping: ports, keys, data directories, signals."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import resource
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import httpx
import pytest

from reconciler.service import Running, ServiceError, Settings, embedded, hosting, serve

from .support import KEY, client, process

if TYPE_CHECKING:
    from pathlib import Path


def never(running: Running) -> None:
    raise AssertionError(running)


def test_without_a_key_one_is_made(tmp_path: Path) -> None:
    with embedded(Settings(tmp_path)) as service:
        assert len(service.key) >= 20
        assert service.key not in repr(service)
        with client(service.url, key=service.key) as api:
            assert api.ok("GET", "/v1/repo") == {"repos": []}


def test_white_space_around_a_key_does_not_count(tmp_path: Path) -> None:
    settings = Settings(tmp_path, key=f"{KEY}\n", master_key=" \n")
    with embedded(settings) as service, client(service.url) as api:
        assert service.key == KEY
        assert api.get("/v1/repo").status_code == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_an_open_host_needs_a_key(tmp_path: Path, host: str) -> None:
    with pytest.raises(ServiceError, match="without a key") as caught:
        serve(Settings(tmp_path, host=host, port=0), on_listening=never)
    assert "BREAD_API_KEY" in caught.value.hint


def test_a_taken_port(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            ServiceError, match=f"127.0.0.1:{port}: Address already in use"
        ) as caught:
            serve(Settings(tmp_path, port=port), on_listening=never)
    assert caught.value.hint
    assert str(caught.value) == caught.value.message


@pytest.mark.parametrize(("host", "port"), [("127.0.0.1", 70000), ("no.such.host.invalid", 0)])
def test_an_impossible_address(tmp_path: Path, host: str, port: int) -> None:
    with pytest.raises(ServiceError, match="Cannot listen on"):
        serve(Settings(tmp_path, host=host, port=port, key=KEY), on_listening=never)


def test_the_data_directory_is_private(tmp_path: Path) -> None:
    data = tmp_path / "deep" / "data"
    with embedded(Settings(data, key=KEY)):
        assert data.stat().st_mode & 0o777 == 0o700


def test_a_data_directory_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(ServiceError, match="Cannot use the data directory"),
        embedded(Settings(tmp_path / "file")),
    ):
        pass


def test_a_data_directory_where_nothing_can_be_locked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with (
        pytest.raises(ServiceError, match=f"data directory {tmp_path}: No locks available"),
        embedded(Settings(tmp_path)),
    ):
        pass


def test_a_data_directory_with_something_else_in_it(tmp_path: Path) -> None:
    (tmp_path / "service.db").write_text("This is no database, and it is long enough to tell." * 9)
    with (
        pytest.raises(ServiceError, match="file is not a database"),
        embedded(Settings(tmp_path)),
    ):
        pass


def test_a_data_directory_of_a_newer_version(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "service.db") as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(ServiceError, match="newer version") as caught, embedded(Settings(tmp_path)):
        pass
    assert "Upgrade" in caught.value.hint


def test_a_data_directory_of_an_older_version_goes_on(tmp_path: Path) -> None:
    settings = Settings(tmp_path, key=KEY)
    with embedded(settings) as service, client(service.url) as api:
        target = api.target()
        before = api.run(f"{target}/stim"), api.output(f"{target}/stim")
    with sqlite3.connect(tmp_path / "service.db") as db:
        db.execute("ALTER TABLE jobs DROP COLUMN number")
        db.execute("DROP TABLE numbers")
        db.execute("PRAGMA user_version = 1")
    db.close()
    with embedded(settings) as service, client(service.url) as api:
        assert (api.ok("GET", f"{target}/stim"), api.output(f"{target}/stim")) == before
        assert api.run(f"{target}/rollout")["job_id"] > before[0]["job_id"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_good_order(tmp_path: Path, number: signal.Signals) -> None:
    with process(tmp_path, pace=5) as running:
        with client(running.url) as api:
            target = api.target()
            api.ok("POST", f"{target}/stim")
            running.popen.send_signal(number)
            assert running.wait() == 0
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{running.url}/v1/health")


def test_it_stops_without_waiting_for_idle_connections(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hosting, "_GRACE_SECONDS", 60)
    with httpx.Client() as idle:
        with embedded(Settings(tmp_path)) as service:
            assert idle.get(f"{service.url}/v1/health").status_code == 200
            stopping = time.monotonic()
        assert time.monotonic() - stopping < 30


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="limits processes as Linux can")
def test_it_allows_itself_many_files(tmp_path: Path) -> None:
    with process(tmp_path, files=(256, 1024)) as running:
        assert resource.prlimit(running.popen.pid, resource.RLIMIT_NOFILE) == (1024, 1024)


def test_the_web_stack_is_loaded_only_when_it_is_needed() -> None:
    code = (
        "import sys, reconciler.service;"
        "heavy = {'uvicorn', 'starlette', 'sqlite3', 'jsonschema', 'jsonschema_rs', 'asyncio'};"
        "print(' '.join(heavy & set(sys.modules)), end='')"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == ""


def test_the_key_is_written_nowhere(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    key = "a-key-that-is-easy-to-find"
    caplog.set_level(logging.DEBUG)
    with embedded(Settings(tmp_path, key=key)) as service, client(service.url, key=key) as api:
        api.run(f"{api.target()}/stim")
        api.get("/v1/repo/nowhere")
    assert key not in caplog.text
    assert all(key.encode() not in file.read_bytes() for file in tmp_path.iterdir())

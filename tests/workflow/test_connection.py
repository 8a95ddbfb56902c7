"""Which API is meant, how the lockfile calls it, and where a project lies."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from reconciler.core.errors import InvalidLockfileError, ReconcilerError, UsageError
from reconciler.core.model.desired import Desired
from reconciler.core.model.lock import Lock
from reconciler.core.model.observed import Absent
from reconciler.engine.pacing import HOSTED, LOOPBACK
from reconciler.lockfile import Store
from reconciler.workflow.access import DEFAULT_URL, Access
from reconciler.workflow.connection import LOCAL, api_name, connect
from reconciler.workflow.place import Place, place
from reconciler.workflow.verbs.shared import read_lock

KEY = "the-secret-key-of-this-test"
DECLARED = Desired({}, {}, {}, api_url="https://declared.example")
SILENT = Desired({}, {}, {})


def named(desired: Desired = SILENT, environment: str = "", **access: str | bool) -> str:
    given = {"BREAD_BASE_URL": environment} if environment else {}
    return api_name(Access(environment=given, **access), desired)  # type: ignore[arg-type]


def test_the_nearest_word_about_the_address_counts() -> None:
    assert named() == DEFAULT_URL
    assert named(DECLARED) == "https://declared.example"
    assert named(DECLARED, "https://set.example") == "https://set.example"
    option = "https://option.example/"
    assert named(DECLARED, "https://set.example", api_url=option) == "https://option.example"
    assert named(DECLARED, "https://set.example", local=True) == LOCAL


def test_contradictions_and_unfit_addresses_are_wrong_usage() -> None:
    with pytest.raises(UsageError, match="exclude"):
        named(local=True, api_url="https://x.example")
    with pytest.raises(UsageError, match="plain http"):
        named(environment="http://x.example")
    assert named(environment="http://x.example", allow_http=True) == "http://x.example"


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("HTTPS://API.Example", "https://api.example"),
        ("https://API.example:8443/Base/", "https://api.example:8443/Base"),
        ("HTTP://[::1]:8412", "http://[::1]:8412"),
        ("https://api.example:443", "https://api.example:443"),
    ],
)
def test_the_case_of_scheme_and_host_makes_no_difference(written: str, meant: str) -> None:
    assert named(api_url=written) == meant


@pytest.mark.parametrize("recorded", ["https://API.Example", "https://api.example"])
def test_a_lockfile_of_the_same_address_in_another_case_is_the_right_one(
    tmp_path: Path, recorded: str
) -> None:
    store = Store(tmp_path / "reconciler.lock")
    store.write(Lock(recorded))
    assert read_lock(store, named(api_url="https://API.Example"))
    with pytest.raises(InvalidLockfileError, match=recorded):
        read_lock(store, "https://api.example/Base")


def access(**more: str) -> Access:
    return Access(environment={"BREAD_API_KEY": KEY, **more})


def test_the_key_comes_from_the_environment_and_shows_nowhere(tmp_path: Path) -> None:
    with connect(place(tmp_path), access(), SILENT) as connection:
        assert connection.settings.key == KEY
        assert KEY not in repr(connection)
        assert KEY not in repr(access())


@pytest.mark.parametrize("environment", [{}, {"BREAD_API_KEY": ""}])
def test_without_a_key_nothing_is_opened(tmp_path: Path, environment: dict[str, str]) -> None:
    with (
        pytest.raises(ReconcilerError, match="BREAD_API_KEY") as caught,
        connect(place(tmp_path), Access(environment=environment), SILENT),
    ):
        pass
    assert "--local" in caught.value.hint


def test_a_service_nearby_is_looked_at_more_often(tmp_path: Path) -> None:
    for url, pace in (("https://x.example", HOSTED), ("http://127.0.0.1:1", LOOPBACK)):
        with connect(place(tmp_path), access(BREAD_BASE_URL=url), SILENT) as connection:
            assert connection.pace is pace


def test_the_embedded_service_lives_in_the_project_and_ends_with_the_command(
    tmp_path: Path,
) -> None:
    async def ask() -> object:
        async with connection.open() as api:
            await api.create_repo("r", "m")
            return await api.repo("elsewhere")

    with connect(place(tmp_path), Access(local=True), SILENT) as connection:
        assert connection.name == LOCAL
        assert connection.pace is LOOPBACK
        assert asyncio.run(ask()) == Absent()
    assert (tmp_path / ".reconciler" / "local").is_dir()
    assert (tmp_path / ".reconciler" / ".gitignore").read_text() == "*\n"
    address = urlsplit(connection.settings.base_url)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((address.hostname or "", address.port or 0))


def test_a_project_is_a_directory_or_a_file_with_its_lockfile_beside_it(tmp_path: Path) -> None:
    file = tmp_path / "all.yaml"
    file.touch()
    assert place(tmp_path) == Place(tmp_path, tmp_path / "reconciler.lock")
    assert place(file) == Place(file, tmp_path / "reconciler.lock")
    assert place(file).root == tmp_path
    assert place(tmp_path, Path("x.lock")).lockfile == Path("x.lock")

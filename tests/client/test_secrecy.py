"""The key: to the API's origin, and nowhere else."""

from __future__ import annotations

import logging
import traceback
from typing import TYPE_CHECKING

import pytest

from reconciler.client import Http, HttpSettings, checked_base_url, is_loopback
from reconciler.core.errors import ExitCode, ReconcilerError, UsageError
from reconciler.core.model.desired import Desired
from reconciler.workflow.access import Access
from reconciler.workflow.connection import connect
from reconciler.workflow.place import place

from .support import KEY, Clock, answer, asynchronous, ok, serving, speaking

if TYPE_CHECKING:
    from pathlib import Path


@asynchronous
async def test_the_key_travels_in_its_header_alone() -> None:
    async with speaking(ok(base_model="m"), user_id="somebody") as (api, server):
        await api.repo("r")
        await api.create_repo("r", "m")
    for request in server.requests:
        assert request.headers["authorization"] == f"Bearer {KEY}"
        assert request.headers["x-user-id"] == "somebody"
        assert request.headers["user-agent"].startswith("reconciler/")
        elsewhere = {**request.headers, "authorization": ""}
        assert KEY not in f"{request.path}{elsewhere}{request.body!r}"


@asynchronous
async def test_who_acts_for_nobody_else_does_not_say_so() -> None:
    async with speaking(ok(base_model="m")) as (api, server):
        await api.repo("r")
    assert "x-user-id" not in server.requests[0].headers


@asynchronous
async def test_neither_representations_nor_errors_nor_logs_show_the_key(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    for fault in (answer(401, {"error": "No"}), answer(200, b"", cut=1), answer(302, b"")):
        async with speaking(fault) as (api, _):
            with pytest.raises(ReconcilerError) as caught:
                await api.repo("r")
            shown = [repr(api), repr(api.http), repr(api.http.settings), str(api.http.settings)]
            shown += traceback.format_exception(caught.value)
            shown += [repr(caught.value), str(vars(caught.value))]
        assert KEY not in "\n".join(shown)
    assert KEY not in caplog.text


@pytest.mark.parametrize("key", ["secret\n", "sec\nret", " secret", "sec\x00ret", "sécret", "秘密"])
@asynchronous
async def test_a_key_that_no_header_can_carry_is_refused_without_being_shown(key: str) -> None:
    """A stray line end in a CI secret is an everyday accident."""
    async with serving(ok(base_model="m")) as server:
        refusal = await refusal_of(server.url, key)
        if refusal is None:
            assert server.requests[0].headers["authorization"].split() == ["Bearer", key.strip()]
            return
    shown = "".join(traceback.format_exception(refusal))
    assert key.strip() not in shown
    assert repr(key.strip())[1:-1] not in shown


@pytest.mark.parametrize("key", ["", " ", "\n", "\r\n", "\t \n"])
def test_a_key_of_white_space_is_none(tmp_path: Path, key: str) -> None:
    access = Access(environment={"BREAD_API_KEY": key})
    with (
        pytest.raises(ReconcilerError, match="no API key") as caught,
        connect(place(tmp_path), access, Desired({}, {}, {})),
    ):
        pass
    assert caught.value.exit_code == ExitCode.ERROR
    assert "--local" in caught.value.hint


@pytest.mark.parametrize("key", [f"{KEY}\n", f" {KEY}\r\n"])
@asynchronous
async def test_white_space_around_a_key_is_dropped(tmp_path: Path, key: str) -> None:
    async with serving(ok(base_model="m")) as server:
        access = Access(api_url=server.url, environment={"BREAD_API_KEY": key})
        with connect(place(tmp_path), access, Desired({}, {}, {})) as connection:
            async with connection.open() as api:
                await api.repo("r")
    assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize(
    "body",
    [
        f"GET /v1/repo/r\nAuthorization: Bearer {KEY}".encode(),
        f"<html><title>Bearer {KEY}</title></html>".encode(),
        {"error": f"{KEY} is not known"},
        f"{'x' * 490} {KEY}".encode(),
    ],
)
@asynchronous
async def test_a_page_that_repeats_what_was_sent_does_not_bring_the_key_to_light(
    body: object,
) -> None:
    async with speaking(answer(400, body)) as (api, _):
        with pytest.raises(ReconcilerError) as caught:
            await api.repo("r")
    assert KEY[:10] not in caught.value.message
    assert "*" in caught.value.message


@pytest.mark.parametrize("user", ["漢", "Zoë", "one\nX-Other: two", "a\x00b"])
@asynchronous
async def test_a_user_that_no_header_can_carry_is_refused_before_anything_is_sent(
    user: str,
) -> None:
    async with serving(ok(base_model="m")) as server:
        refusal = await refusal_of(server.url, KEY, user)
    assert isinstance(refusal, UsageError)
    assert "--user-id" in refusal.hint
    assert not server.requests


async def refusal_of(url: str, key: str, user: str | None = None) -> ReconcilerError | None:
    try:
        async with Http(HttpSettings(url, key, user), Clock()) as http:
            await http.call("GET", "/v1/repo/r")
    except ReconcilerError as error:
        return error
    return None


@asynchronous
async def test_proxies_of_the_environment_see_nothing_of_loopback(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with serving(ok(base_model="proxy")) as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        async with speaking(ok(base_model="m")) as (api, server):
            await api.repo("r")
            assert len(server.requests) == 1
        assert not proxy.requests


@asynchronous
async def test_a_base_url_with_a_path_keeps_it() -> None:
    async with (
        serving(ok(base_model="m")) as server,
        Http(HttpSettings(f"{server.url}/bread", KEY), Clock()) as http,
    ):
        await http.call("GET", "/v1/repo/r")
    assert server.requests[0].path == "/bread/v1/repo/r"


@pytest.mark.parametrize(
    "url",
    [
        "https://bapi.bread.com.ai",
        "https://bapi.bread.com.ai/",
        "https://host:8443/prefix",
        "https://host.example.",
        "http://localhost:8080",
        "http://127.0.0.1:8080",
        "http://127.1.2.3",
        "http://[::1]:8080",
    ],
)
def test_these_addresses_may_be_given_a_key(url: str) -> None:
    assert checked_base_url(url) == url.rstrip("/")


@pytest.mark.parametrize(
    "url",
    [
        "http://bapi.bread.com.ai",
        "http://192.168.0.7:8080",
        "http://localhost.evil.example",
        "http://127.0.0.1.evil.example",
        "http://0.0.0.0:8080",
        "http://[::ffff:8.8.8.8]",
        "HTTP://example.com",
        "ftp://localhost",
        "//localhost",
        "localhost:8080",
        "",
        "https://",
        "https:///path",
        "https://user:password@host",
        "http://127.0.0.1@evil.example",
        "https://host/?key=value",
        "https://host/#part",
        "https://host:port",
        "https://host:99999",
        "https://[::1",
        "https://ho st",
        "https://host\n.example",
        "https://two..dots",
        "https://.example",
        f"https://{'a' * 64}.example",
    ],
)
def test_these_addresses_may_not(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        checked_base_url(url)
    assert "password" not in caught.value.message


def test_plain_http_is_possible_for_who_insists() -> None:
    assert checked_base_url("http://192.168.0.7", allow_http=True) == "http://192.168.0.7"
    with pytest.raises(UsageError):
        checked_base_url("ftp://192.168.0.7", allow_http=True)


@pytest.mark.parametrize("host", ["", "localhost.", "example.com", "::2", "2130706433"])
def test_what_is_not_plainly_loopback_is_not_taken_for_it(host: str) -> None:
    assert not is_loopback(host)

"""The service as HTTP/1.1 sees it, byte by byte: targets, bodies, connections, pipelines."""

from __future__ import annotations

import json
import socket
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from reconciler.service import Settings, embedded, hosting
from reconciler.service.api import bodies, connection

from .support import KEY, Process, client, process

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from reconciler.service import Running

MB = 1024 * 1024
HEALTH = b"GET /v1/health HTTP/1.1\r\nHost: here\r\n\r\n"
AUTHORIZATION = b"Authorization: Bearer " + KEY.encode()


@contextmanager
def connected(running: Running | Process) -> Iterator[socket.socket]:
    address = urlsplit(running.url)
    with socket.create_connection((address.hostname or "", address.port or 0), 60) as raw:
        yield raw


def post(*headers: bytes, body: bytes = b"") -> bytes:
    """Return a call that creates a repository, or the beginning of one."""
    lines = [b"POST /v1/repo HTTP/1.1", b"Host: here", AUTHORIZATION, *headers, b"", body]
    return b"\r\n".join(lines)


def until(raw: socket.socket, end: bytes) -> bytes:
    """Return what comes up to ``end``."""
    got = b""
    while not got.endswith(end):
        more = raw.recv(65536)
        assert more, f"the connection ended after {got!r}"
        got += more
    return got


def rest(raw: socket.socket) -> bytes:
    """Return what comes until the connection is closed."""
    return b"".join(iter(lambda: raw.recv(65536), b""))


class TestAbsoluteTargets:
    @pytest.mark.parametrize("start", ["{url}", "HTTP://elsewhere.example", "https://x"])
    def test_a_path(self, running: Running, start: str) -> None:
        target = start.format(url=running.url) + "/v1/health?x=http://y"
        with connected(running) as raw:
            raw.sendall(f"GET {target} HTTP/1.1\r\nHost: here\r\n\r\n".encode())
            assert until(raw, b"}").startswith(b"HTTP/1.1 200 ")

    def test_no_path(self, running: Running) -> None:
        with connected(running) as raw:
            raw.sendall(b"GET http://here?x=1 HTTP/1.1\r\nHost: here\r\n%s\r\n\r\n" % AUTHORIZATION)
            assert until(raw, b"}").startswith(b"HTTP/1.1 404 ")

    def test_names_stay_encoded(self, running: Running) -> None:
        with connected(running) as raw:
            target = running.url.encode() + b"/v1/repo/a%2Fb"
            raw.sendall(b"GET %s HTTP/1.1\r\nHost: here\r\n%s\r\n\r\n" % (target, AUTHORIZATION))
            assert until(raw, b"}").startswith(b"HTTP/1.1 422 ")

    def test_they_need_a_key_as_well(self, running: Running) -> None:
        with connected(running) as raw:
            target = running.url.encode() + b"/v1/repo"
            raw.sendall(b"GET %s HTTP/1.1\r\nHost: here\r\n\r\n" % target)
            assert until(raw, b"}").startswith(b"HTTP/1.1 401 ")

    def test_metrics(self, running: Running) -> None:
        with connected(running) as raw:
            raw.sendall(b"GET http://here/metrics HTTP/1.1\r\nHost: here\r\n\r\n")
            assert until(raw, b"# EOF\n").startswith(b"HTTP/1.1 200 ")


class TestBodiesThatAreTooLarge:
    @pytest.mark.parametrize("more", [(), (b"Expect: 100-continue",)])
    def test_the_length_is_enough_to_refuse(
        self, running: Running, more: tuple[bytes, ...]
    ) -> None:
        with connected(running) as raw:
            raw.sendall(post(b"Content-Length: %d" % (40 * MB), *more))
            answer = rest(raw)
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 413 ")
        assert b"connection: close" in head.lower()
        assert json.loads(body)["code"] == "PAYLOAD_TOO_LARGE"

    def test_one_that_is_sent_all_the_same_meets_no_closed_door(
        self, running: Running, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(bodies, "_SILENCE_SECONDS", 30)
        with connected(running) as raw:
            raw.sendall(post(b"Content-Length: %d" % (60 * MB)))
            for _ in range(60):
                raw.sendall(b" " * MB)
            assert rest(raw).startswith(b"HTTP/1.1 413 ")

    def test_one_of_unknown_length_is_refused_once_it_is_too_long(self, running: Running) -> None:
        with connected(running) as raw:
            raw.sendall(post(b"Transfer-Encoding: chunked"))
            for _ in range(33):
                raw.sendall(b"%x\r\n%s\r\n" % (MB, b" " * MB))
            assert until(raw, b"}").startswith(b"HTTP/1.1 413 ")

    def test_the_bound_itself_is_asked_for(self, running: Running) -> None:
        with connected(running) as raw:
            raw.sendall(post(b"Content-Length: %d" % (32 * MB), b"Expect: 100-continue"))
            assert until(raw, b"\r\n\r\n").startswith(b"HTTP/1.1 100 ")


def test_who_asks_before_sending_and_is_refused_is_told_that_it_is_over(running: Running) -> None:
    request = post(b"Content-Length: 20", b"Expect: 100-continue").replace(b"Bearer ", b"Bearer x")
    with connected(running) as raw:
        raw.sendall(request)
        assert rest(raw).startswith(b"HTTP/1.1 401 ")


class TestPipelines:
    def test_answers_come_in_order(self, running: Running) -> None:
        body = b"{}"
        invalid = post(b"Content-Length: 2", body=body)
        with connected(running) as raw:
            raw.sendall((HEALTH + invalid) * 20)
            raw.shutdown(socket.SHUT_WR)
            answers = rest(raw).split(b"HTTP/1.1 ")[1:]
        assert [each[:3] for each in answers] == [b"200", b"422"] * 20

    def test_an_unread_body_is_no_request(self, running: Running) -> None:
        refused = post(b"Content-Length: %d" % len(HEALTH), body=HEALTH)
        with connected(running) as raw:
            raw.sendall(refused.replace(b"Bearer ", b"Bearer x") + HEALTH)
            raw.shutdown(socket.SHUT_WR)
            answers = rest(raw).split(b"HTTP/1.1 ")[1:]
        assert [each[:3] for each in answers] == [b"401", b"200"]


class TestConnections:
    def test_nonsense_after_an_answer_ends_the_connection_quietly(
        self, running: Running, caplog: pytest.LogCaptureFixture
    ) -> None:
        request = post(b"Transfer-Encoding: chunked").replace(b"Bearer ", b"Bearer x")
        with connected(running) as raw:
            raw.sendall(request)
            assert until(raw, b"}").startswith(b"HTTP/1.1 401 ")
            raw.sendall(b"this is no chunk\r\n\r\n")
            assert rest(raw) == b""
        assert [each for each in caplog.records if each.name == "asyncio"] == []

    def test_a_half_closed_one_gets_an_answer_that_takes_time(self, tmp_path: Path) -> None:
        script = tmp_path / "rehearsal.yaml"
        script.write_text("requests: [{path: /v1/repo, delay: 100ms}]\n")
        settings = Settings(tmp_path / "data", key=KEY, rehearsal=script)
        with embedded(settings) as running, connected(running) as raw:
            raw.sendall(post(b"Content-Length: 2", body=b"{}") * 2)
            raw.shutdown(socket.SHUT_WR)
            assert rest(raw).count(b"HTTP/1.1 422 ") == 2

    @pytest.mark.parametrize(
        "sent",
        [b"", HEALTH[:20], post(b"Content-Length: 20", body=b"{"), HEALTH],
        ids=["nothing", "half a head", "half a body", "a whole request"],
    )
    def test_silence_ends_a_connection(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sent: bytes
    ) -> None:
        monkeypatch.setattr(hosting, "_IDLE_SECONDS", 1)
        with embedded(Settings(tmp_path, key=KEY)) as running, connected(running) as raw:
            raw.sendall(sent)
            assert rest(raw).startswith(b"HTTP/1.1 200 " if sent == HEALTH else b"")

    def test_a_slow_body_is_waited_for(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(hosting, "_IDLE_SECONDS", 30)
        body = b'{"repo_name": "slow"}'
        with embedded(Settings(tmp_path, key=KEY)) as running, connected(running) as raw:
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for byte in post(b"Content-Length: %d" % len(body), body=body):
                raw.sendall(bytes([byte]))
            assert until(raw, b"}").startswith(b"HTTP/1.1 201 ")

    def test_where_there_are_too_many_the_longest_silent_one_goes(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with ExitStack() as stack:
            running = stack.enter_context(embedded(Settings(tmp_path, key=KEY)))
            first, second, last = (stack.enter_context(connected(running)) for _ in range(3))
            for each in (first, second, last, first):
                each.sendall(HEALTH)
                until(each, b"}")
            monkeypatch.setattr(connection, "most_connections", lambda: 0)
            newest = stack.enter_context(connected(running))
            newest.sendall(HEALTH)
            assert until(newest, b"}").startswith(b"HTTP/1.1 200 ")
            assert rest(second) == b""
            for each in (first, last):
                each.sendall(HEALTH)
                assert until(each, b"}").startswith(b"HTTP/1.1 200 ")

    def test_who_waits_for_an_answer_is_not_silent(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        script = tmp_path / "rehearsal.yaml"
        script.write_text("requests: [{path: /v1/repo, delay: 300ms}]\n")
        settings = Settings(tmp_path / "data", key=KEY, rehearsal=script)
        with embedded(settings) as running, connected(running) as waiting:
            waiting.sendall(HEALTH + post(b"Content-Length: 2", body=b"{}"))
            until(waiting, b"}")
            monkeypatch.setattr(connection, "most_connections", lambda: 0)
            for _ in range(3):
                with connected(running) as other:
                    other.sendall(HEALTH)
                    until(other, b"}")
            assert until(waiting, b"}").startswith(b"HTTP/1.1 422 ")

    def test_more_idle_connections_than_files_stop_nobody(self, tmp_path: Path) -> None:
        with process(tmp_path, files=(256, 256)) as running, ExitStack() as stack:
            for _ in range(400):
                stack.enter_context(connected(running)).sendall(HEALTH[:10])
            with client(running.url) as api:
                target = api.target()
                assert api.run(f"{target}/stim")["lines"] == 2


class TestPathsThatAreNoText:
    def test_they_name_nothing(self, running: Running) -> None:
        with client(running.url) as api:
            for path in ("/v1/repo/%FF", "/v1/repo/a%C3/prompts", "/v1/repo/%ED%A0%80"):
                response = api.get(path)
                assert response.status_code == 422
                assert response.json()["error"] == "Name is not valid UTF-8"

    def test_what_only_looks_like_it_does(self, running: Running) -> None:
        with client(running.url) as api:
            api.ok("POST", "/v1/repo", {"repo_name": "\ufffd"})
            assert api.ok("GET", "/v1/repo/%EF%BF%BD")["repo_name"] == "\ufffd"

"""Inputs without measure: refused within bounds of memory and time, by processes of their own."""

from __future__ import annotations

import gzip
import threading
import zlib
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, TypeAlias

import pytest
from cli.project import PROMPTS, target
from hypothesis import settings

from reconciler.core.errors import ExitCode

from .support import Measured, measured

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

#: What any of these may take, in MB and seconds; without input it is some 60 MB and 0.2 s.
MOST_MEMORY, MOST_TIME = 700, 30
REPO = "apiVersion: reconciler/v1\nkind: Repo\nmetadata: {name: coding}\n"
PROMPT = """\
---
apiVersion: reconciler/v1
kind: Prompt
metadata: {repo: coding, name: p}
spec: {messages: [{role: user, content_file: big.md}]}
"""
HUNDRED = 100_000_000


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "a.yaml").write_text(REPO)
    return tmp_path


def refused(ended: Measured, code: ExitCode = ExitCode.INVALID) -> str:
    assert ended.code == code, ended
    assert "Traceback" not in ended.err
    assert "internal error" not in ended.err
    assert ended.megabytes < MOST_MEMORY
    assert ended.seconds < MOST_TIME
    return ended.err


def text_of(size: int, line: bytes = b"# nothing but words\n") -> bytes:
    return (line * (size // len(line) + 1))[:size]


@pytest.mark.parametrize("name", ["big.yaml", "big.md"])
def test_a_file_of_100_mb_is_not_read(project: Path, name: str) -> None:
    (project / name).write_bytes(text_of(HUNDRED))
    if name == "big.md":
        (project / "a.yaml").write_text(REPO + PROMPT)
    ended = measured("validate", project)
    assert "larger than 10 MB" in refused(ended)
    assert ended.megabytes < 100


@pytest.mark.parametrize("line", [b"# nothing but words\n", b"a"])
def test_a_lockfile_of_100_mb_is_not_read(project: Path, line: bytes) -> None:
    (project / "reconciler.lock").write_bytes(b"version: 1\nx: " + text_of(HUNDRED, line))
    ended = measured("plan", "--offline", project)
    assert "reconciler.lock" in refused(ended)
    assert ended.megabytes < 150


def test_a_saved_plan_of_100_mb_is_not_read(project: Path) -> None:
    file = project / "plan.json"
    file.write_bytes(b'{"format": ["' + text_of(HUNDRED, b"a") + b'"]}')
    ended = measured("apply", "--plan", file, project)
    assert "plan.json" in refused(ended)
    assert ended.megabytes < 200


LITTLE_THINGS = {
    "values": lambda: b"x: [" + b"a," * 4_900_000 + b"]\n",
    "documents": lambda: b"---\na\n" * 1_600_000,
    "faults": lambda: b"x: [" + b"!a a," * 1_900_000 + b"]\n",
    "keys": lambda: b"".join(b"k%d: 1\n" % number for number in range(800_000)),
}


#: Each takes seconds: a quick run is content with one.
TRIED = list(LITTLE_THINGS) if settings().max_examples > 100 else ["values"]


@pytest.mark.parametrize("things", TRIED)
def test_ten_mb_of_little_things_are_no_gigabytes(project: Path, things: str) -> None:
    (project / "a.yaml").write_bytes(REPO.encode() + LITTLE_THINGS[things]())
    refused(measured("validate", project, "--quiet", seconds=MOST_TIME))


@pytest.mark.parametrize(
    "content",
    [
        b"x: " + b"[" * 300_000 + b"]" * 300_000,
        b"x: " + b"{a: " * 300_000 + b"}" * 300_000,
        b"- " * 300_000 + b"x",
        b"? " * 300_000 + b"x",
        "".join(
            f"a{n}: &a{n} {{{', '.join(f'k{m}: *a{n - 1}' for m in range(9))}}}\n" if n else
            "a0: &a0 {x: 1}\n"
            for n in range(12)
        ).encode(),
        b"a: &a {b: *a}\n",
        b"x: [" + b"a," * 9_900_000 + b"]\n",
    ],
    ids=["lists", "mappings", "items", "keys", "laughs", "circle", "values"],
)  # fmt: skip
def test_a_bottomless_lockfile_is_refused(project: Path, content: bytes) -> None:
    (project / "reconciler.lock").write_bytes(content)
    told = refused(measured("plan", "--offline", project, seconds=MOST_TIME))
    assert "refresh" in told


@pytest.mark.parametrize(
    "pattern", ["*" * 40 + "x", "*a" * 40 + "x", "[" * 9_000, "**/" * 40 + "x"]
)
def test_no_pattern_keeps_the_walk_from_ending(project: Path, pattern: str) -> None:
    (project / ("a" * 200 + ".yaml")).write_text(REPO.replace("coding", "other"))
    (project / ".reconcilerignore").write_text(pattern + "\n")
    ended = measured("validate", project, seconds=MOST_TIME)
    assert ended.code in {ExitCode.OK, ExitCode.INVALID}
    assert ended.seconds < MOST_TIME


Body: TypeAlias = "Callable[[Callable[[bytes], object]], object]"


def endless(send: Callable[[bytes], object]) -> None:
    send(b'Content-Type: application/json\r\n\r\n{"base_model": "')
    while True:
        send(b"a" * 1_000_000)


def endless_chunks(send: Callable[[bytes], object]) -> None:
    send(b"Transfer-Encoding: chunked\r\n\r\n")
    while True:
        send(b"f4240\r\n" + b" " * 1_000_000 + b"\r\n")


def endless_headers(send: Callable[[bytes], object]) -> None:
    while True:
        send(b"X-Header: " + b"a" * 10_000 + b"\r\n")


@contextmanager
def answering(body: Body) -> Iterator[str]:
    """Serve one giant to everybody who asks."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.close_connection = True
            with suppress(OSError):
                self.wfile.write(b"HTTP/1.1 200 OK\r\n")
                body(self.wfile.write)

        def log_request(self, code: object = None, size: object = None) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        serving = threading.Thread(target=server.serve_forever, args=(0.01,))
        serving.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            serving.join()


def packed(times: int) -> bytes:
    """Return nearly a gigabyte of blanks, packed once into a megabyte or twice into some kB."""
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = squeeze.compress(b" " * 10_000_000) + squeeze.flush(zlib.Z_FULL_FLUSH)
    # Its checksum is wrong, but who gets that far has unpacked everything.
    once = gzip.compress(b"")[:10] + block * 90 + squeeze.flush() + bytes(8)
    return once if times == 1 else gzip.compress(once)


def looked_at(project: Path, body: Body) -> Measured:
    (project / "a.yaml").write_text("---\n".join([PROMPTS, target("one")]))
    with answering(body) as url:
        return measured(
            "plan", project, "--api-url", url, env={"BREAD_API_KEY": "k"}, seconds=MOST_TIME
        )


@pytest.mark.parametrize("body", [endless, endless_chunks, endless_headers])
def test_an_endless_answer_is_given_up(project: Path, body: Body) -> None:
    refused(looked_at(project, body), ExitCode.ERROR)


@pytest.mark.parametrize("times", [1, 2])
def test_a_packed_answer_is_not_unpacked_without_end(project: Path, times: int) -> None:
    content = packed(times)
    coding = ", ".join(["gzip"] * times)
    head = f"Content-Encoding: {coding}\r\nContent-Length: {len(content)}\r\n\r\n".encode()
    refused(looked_at(project, lambda send: send(head + content)), ExitCode.ERROR)

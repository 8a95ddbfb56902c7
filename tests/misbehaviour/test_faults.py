"""Faults of the machine and of the network: disks, names, certificates, proxies, slow peers."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import cycle
from typing import TYPE_CHECKING

import pytest
from cli.project import Ended, target
from client.support import Clock
from hostile.support import measured
from processes import SAME_CODE

from reconciler.client import Http, HttpSettings
from reconciler.core.errors import ExitCode, UnreachableError

from .meddler import Answer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
    from pathlib import Path

    from cli.project import Project

    from .meddler import Meddler

KEY = "master-key-of-the-tests"
HOST = "api.example.test"


def beside(project: Project) -> set[str]:
    return {path.name for path in project.root.iterdir()}


def told(ended: Ended, *words: str) -> None:
    """Check that a fault is told as one, in a sentence."""
    assert ended.code == ExitCode.ERROR
    for word in (*words, "error: " if not ended.out else ""):
        assert word in ended.out + ended.err
    for word in ("Traceback", "internal error", KEY, "password"):
        assert word not in ended.out + ended.err


class TestDisks:
    """Where nothing more can be written, what was written stays."""

    @pytest.fixture
    def applied(self, project: Project) -> Project:
        assert project.run("apply").code == ExitCode.OK
        project.targets(target("one"), target("two", questions=2), target("three"))
        return project

    @pytest.mark.parametrize("room", [0, 200])
    def test_a_disk_that_fills_up_leaves_the_old_lockfile(
        self, applied: Project, room: int
    ) -> None:
        """The system refuses what goes beyond so many bytes of a file."""
        before, files = applied.lockfile.read_bytes(), beside(applied)
        env = {"BREAD_API_KEY": KEY}
        found = measured("apply", applied.root, *applied.access, env=env, file_size=room)
        told(Ended(found.code, found.out, found.err), "cannot write", "reconciler.lock")
        assert applied.lockfile.read_bytes() == before
        assert beside(applied) == files
        assert applied.run("apply").code == ExitCode.OK

    def test_a_plan_that_cannot_be_saved_leaves_the_old_one(self, applied: Project) -> None:
        file = applied.root / "plan.json"
        file.write_text("the old one")
        env = {"BREAD_API_KEY": KEY}
        out = ("--out", str(file))
        found = measured("plan", applied.root, *applied.access, *out, env=env, file_size=100)
        told(Ended(found.code, found.out, found.err), "cannot write", "plan.json")
        assert file.read_text() == "the old one"

    @pytest.mark.parametrize("command", ["plan", "validate", "status"])
    def test_a_result_that_nobody_can_keep_is_an_error(
        self, project: Project, command: str
    ) -> None:
        project.environment = {"BREAD_API_KEY": KEY}
        with open("/dev/full", "w") as full:  # noqa: PTH123 - a device
            running = project.start(command, stdout=full)
            _, err = running.communicate(timeout=60)
        told(Ended(running.returncode, "", err), "No space left")

    @pytest.mark.parametrize("fresh", [True, False])
    def test_where_nothing_can_be_written_plans_can_still_be_made(
        self, project: Project, fresh: bool
    ) -> None:
        if not fresh:
            assert project.run("apply").code == ExitCode.OK
        before, files = dict(contents(project)), beside(project)
        for command, code in (("plan", 0), ("status", 0), ("apply", 1), ("refresh", 1)):
            ended = read_only(project, command)
            assert ended.code == code, ended
            if code:
                told(ended, "cannot write to", "Read-only file system")
        told(read_only(project, "plan", "--out", str(project.root / "plan.json")), "plan.json")
        assert dict(contents(project)) == before
        assert beside(project) == files

    def test_a_disk_that_is_really_full_is_told(self, project: Project) -> None:
        prepare = "mount -t tmpfs -o size=16k none {0} && cp -r {1}/. {0} && "
        fill = "(dd if=/dev/zero of={0}/filler 2>/dev/null || true) && "
        place = project.root.parent / "small"
        place.mkdir()
        ended = apart(project, (prepare + fill).format(place, project.root), place, "apply")
        told(ended, "cannot write", "No space left")


def contents(project: Project) -> Iterator[tuple[str, bytes]]:
    for path in project.root.iterdir():
        if path.is_file():
            yield path.name, path.read_bytes()


def read_only(project: Project, command: str, *options: str) -> Ended:
    """Run a command where the directory of the project is mounted read-only."""
    prepare = (
        f"mount --bind {project.root} {project.root} && mount -o remount,ro,bind {project.root} && "
    )
    return apart(project, prepare, project.root, command, *options)


def apart(project: Project, prepare: str, place: Path, command: str, *options: str) -> Ended:
    """Run a command in a mount namespace of its own, made ready by a shell."""
    if subprocess.run(["unshare", "-m", "true"], check=False, capture_output=True).returncode:
        pytest.skip("no mount namespaces here")
    words = [sys.executable, "-m", "reconciler", command, str(place), *project.access, *options]
    environment = {**os.environ, **SAME_CODE, "BREAD_API_KEY": KEY}
    script = f'{prepare} exec "$@"'
    ended = subprocess.run(
        ["unshare", "-m", "sh", "-c", script, "sh", *words],
        env=environment,
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return Ended(ended.returncode, ended.stdout, ended.stderr)


def unknown_names(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let no name be known, as without a network; return which were asked for."""
    asked: list[str] = []
    real = socket.getaddrinfo

    def look_up(host: str | bytes | None, *rest: object, **more: object) -> object:
        name = host.decode() if isinstance(host, bytes) else str(host)
        if name in {"127.0.0.1", "localhost"}:
            return real(host, *rest, **more)  # type: ignore[arg-type]
        asked.append(name)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return asked


@pytest.mark.usefixtures("hurried")
def test_a_name_that_nobody_knows_is_told_and_changes_nothing(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = unknown_names(monkeypatch)
    for command in ("apply", "plan", "status"):
        ended = project.run(command, access=("--api-url", f"https://{HOST}"))
        told(ended, "ould not be read" if command == "status" else "name or service not known")
    assert set(asked) == {HOST}
    assert not project.lockfile.exists()


@dataclass
class Certificate:
    """A certificate for one name that nobody has signed but itself."""

    certificate: Path
    key: Path

    @property
    def context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        return context


@pytest.fixture(scope="session")
def certify(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Certificate]:
    if shutil.which("openssl") is None:
        pytest.skip("no openssl here")
    folder = tmp_path_factory.mktemp("certificates")

    def make(name: str) -> Certificate:
        made = Certificate(folder / f"{name}.pem", folder / f"{name}.key")
        subject = ("-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}")
        kind = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "9")
        where = ("-keyout", str(made.key), "-out", str(made.certificate))
        command = ["openssl", "req", "-x509", *kind, *subject, *where]
        subprocess.run(command, check=True, capture_output=True)
        return made

    return make


@dataclass
class Heard:
    """What a server was told, in the clear, and where it is."""

    url: str = ""
    keys: list[str] = field(default_factory=list)
    connects: list[str] = field(default_factory=list)
    clear: bytes = b""


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler], context: ssl.SSLContext | None) -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        if context:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        running = threading.Thread(target=server.serve_forever, args=(0.01,))
        running.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            running.join()


@contextmanager
def empty_api(context: ssl.SSLContext | None) -> Iterator[Heard]:
    """Serve an API that holds nothing, with TLS or without."""
    heard = Heard()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            heard.keys.append(self.headers["Authorization"])
            body = b'{"error": "Not found"}'
            self.wfile.write(b"HTTP/1.0 404 x\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with serving(Handler, context) as port:
        heard.url = f"{'https' if context else 'http'}://localhost:{port}"
        yield heard


@contextmanager
def proxy(leads_to: str) -> Iterator[Heard]:
    """Run a proxy that leads every CONNECT to one place, whatever was asked for, or refuses it."""
    heard = Heard()

    class Handler(BaseHTTPRequestHandler):
        def do_CONNECT(self) -> None:
            heard.connects.append(self.path)
            heard.clear += f"{self.requestline}\n{self.headers}".encode()
            if not leads_to:
                self.send_error(407)
                return
            self.wfile.write(b"HTTP/1.1 200 Established\r\n\r\n")
            with socket.create_connection(("127.0.0.1", int(leads_to.rpartition(":")[2]))) as far:
                back = threading.Thread(target=copy, args=(far, self.connection, []))
                back.start()
                sent: list[bytes] = []
                copy(self.connection, far, sent)
                heard.clear += b"".join(sent)
                back.join()

        def do_GET(self) -> None:
            heard.clear += f"{self.requestline}\n{self.headers}".encode()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with serving(Handler, None) as port:
        heard.url = f"http://somebody:password@127.0.0.1:{port}"
        yield heard


def copy(source: socket.socket, sink: socket.socket, seen: list[bytes]) -> None:
    with suppress(OSError):
        while part := source.recv(65536):
            seen.append(part)
            sink.sendall(part)
        sink.shutdown(socket.SHUT_WR)


@pytest.mark.usefixtures("hurried")
class TestCertificates:
    """The key is told only to who can prove to be the API."""

    def test_a_peer_that_nobody_vouches_for_gets_no_key(
        self, project: Project, certify: Callable[[str], Certificate]
    ) -> None:
        with empty_api(certify("localhost").context) as api:
            for command in ("plan", "apply"):
                told(project.run(command, access=("--api-url", api.url)), "certificate")
            assert api.keys == []

    def test_a_peer_with_the_certificate_of_another_gets_no_key(
        self,
        project: Project,
        certify: Callable[[str], Certificate],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        other = certify(HOST)
        monkeypatch.setenv("SSL_CERT_FILE", str(other.certificate))
        with empty_api(other.context) as api:
            told(project.run("plan", access=("--api-url", api.url)), "certificate")
            assert api.keys == []

    def test_a_peer_that_is_vouched_for_gets_it(
        self,
        project: Project,
        certify: Callable[[str], Certificate],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        own = certify("localhost")
        monkeypatch.setenv("SSL_CERT_FILE", str(own.certificate))
        with empty_api(own.context) as api:
            ended = project.run("plan", access=("--api-url", api.url))
            assert ended.code == ExitCode.OK
            assert "5 to create" in ended.out
            assert set(api.keys) == {f"Bearer {KEY}"}

    def test_a_peer_that_speaks_in_the_clear_is_told(self, project: Project) -> None:
        with empty_api(None) as api:
            clear = api.url.replace("http://", "https://")
            told(project.run("plan", access=("--api-url", clear)), "SSL")
            assert api.keys == []

    @pytest.mark.parametrize("content", [None, "", "nonsense"])
    def test_certificates_that_cannot_be_read_are_told(
        self,
        project: Project,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        content: str | None,
    ) -> None:
        file = tmp_path / "certificates.pem"
        if content is not None:
            file.write_text(content)
        monkeypatch.setenv("SSL_CERT_FILE", str(file))
        told(project.run("plan", access=("--api-url", f"https://{HOST}")), "SSL_CERT_FILE")


@pytest.mark.usefixtures("hurried")
class TestProxies:
    """A proxy of the environment is used beyond this machine, and learns nothing."""

    def test_the_key_goes_through_a_tunnel_only(
        self,
        project: Project,
        certify: Callable[[str], Certificate],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        asked = unknown_names(monkeypatch)
        far = certify(HOST)
        monkeypatch.setenv("SSL_CERT_FILE", str(far.certificate))
        with empty_api(far.context) as api, proxy(api.url) as between:
            monkeypatch.setenv("HTTPS_PROXY", between.url)
            ended = project.run("plan", access=("--api-url", f"https://{HOST}"))
            assert ended.code == ExitCode.OK
            assert set(api.keys) == {f"Bearer {KEY}"}
        assert set(between.connects) == {f"{HOST}:443"}
        assert KEY.encode() not in between.clear
        assert asked == []

    def test_a_proxy_that_refuses_is_told_without_its_password(
        self, project: Project, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with proxy("") as between:
            monkeypatch.setenv("HTTPS_PROXY", between.url)
            told(project.run("plan", access=("--api-url", f"https://{HOST}")), "407")
            assert KEY.encode() not in between.clear

    @pytest.mark.parametrize("where", ["loopback", "exempt"])
    def test_who_is_near_or_exempt_is_asked_without_a_proxy(
        self, project: Project, monkeypatch: pytest.MonkeyPatch, where: str
    ) -> None:
        unknown_names(monkeypatch)
        with proxy("") as between:
            for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"):
                monkeypatch.setenv(name, between.url)
            monkeypatch.setenv("NO_PROXY", "example.test" if where == "exempt" else "")
            if where == "loopback":
                assert project.run("plan").code == ExitCode.OK
            else:
                ended = project.run("plan", access=("--api-url", f"https://{HOST}"))
                told(ended, "Name or service not known")
            assert (between.connects, between.clear) == ([], b"")

    @pytest.mark.parametrize(
        "address", ["foo://somebody:password@x", "socks5://somebody:password@127.0.0.1:1"]
    )
    def test_a_proxy_that_cannot_be_used_is_told_without_its_password(
        self, project: Project, monkeypatch: pytest.MonkeyPatch, address: str
    ) -> None:
        monkeypatch.setenv("HTTPS_PROXY", address)
        told(project.run("plan", access=("--api-url", f"https://{HOST}")), "HTTPS_PROXY")


def test_json_that_breaks_off_is_no_answer(project: Project, meddler: Meddler) -> None:
    assert project.run("apply").code == ExitCode.OK
    before = project.lockfile.read_bytes()
    meddler.behave()
    meddler.on("GET coding/targets/two", Answer(200, b'{"target_name": "two", "config": {"temp'))
    told(project.run("apply", "--allow-destroy", "--prune"), "no JSON object")
    assert meddler.writes == []
    assert project.lockfile.read_bytes() == before


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n{"


async def drip_body(writer: asyncio.StreamWriter) -> None:
    writer.write(HEAD)
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.02)


async def drip_head(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    for letter in cycle(b"X-Slow: a\r\n"):
        writer.write(bytes([letter]))
        await writer.drain()
        await asyncio.sleep(0.02)


async def promise(writer: asyncio.StreamWriter) -> None:
    """Say again and again that the answer is on its way."""
    while True:
        writer.write(b"HTTP/1.1 102 Processing\r\n\r\n")
        await writer.drain()
        await asyncio.sleep(0.02)


async def hang(writer: asyncio.StreamWriter) -> None:
    writer.write(HEAD)
    await writer.drain()
    await asyncio.sleep(60)


PEERS: Mapping[str, Callable[[asyncio.StreamWriter], Awaitable[None]]] = {
    "drips its body": drip_body,
    "drips its head": drip_head,
    "promises": promise,
    "hangs": hang,
}


@asynccontextmanager
async def slow_peer(peer: str) -> AsyncIterator[str]:
    async def handle(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.CancelledError):
            await PEERS[peer](writer)
        writer.close()

    async with await asyncio.start_server(handle, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        yield f"http://{host}:{port}"


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("peer", PEERS)
def test_no_peer_is_slow_enough_to_hold_a_run_up_for_ever(peer: str, method: str) -> None:
    async def ask() -> None:
        async with (
            slow_peer(peer) as url,
            Http(HttpSettings(url, KEY, timeout=0.1), Clock()) as http,
        ):
            with pytest.raises(UnreachableError, match="in time"):
                await http.call(method, "/v1/repo/r", repeatable=method == "GET")

    asyncio.run(asyncio.wait_for(ask(), 5))


def test_the_clock_on_the_wall_may_jump(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that wakes up, or is set right, lives through any jump."""
    assert project.run("apply").code == ExitCode.OK
    expected = project.lockfile.read_bytes()
    project.access = (*project.access[:2], "--user-id", "somebody-in-another-time")
    project.lockfile.unlink()
    moments = cycle([0.0, 4e9, 1.0, 2e9, -1e6])
    with monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda: next(moments))
        began = time.monotonic()
        assert project.run("apply", "--timeout", "60s").code == ExitCode.OK
        assert project.run("plan", "--detailed-exitcode").code == ExitCode.OK
    assert time.monotonic() - began < 20
    assert project.lockfile.read_bytes() == expected

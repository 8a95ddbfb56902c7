"""Words of others, in whatever way they come: shown for what they are, with no power over anything.

Every channel that foreign text takes into the program is tried with every form in which the program
shows it: the API's sentences, statuses, names and values; manifests; the lockfile; saved plans.
"""

from __future__ import annotations

import json
import os
import pty
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from cli.project import PROMPTS, Ended, process, target
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.test_markdown_laws import ESCAPED, outside_code, prose

from reconciler.core.errors import ExitCode

from .honest import Honest
from .support import ACTIVE, assert_calm, command
from .test_fuzz_lockfile import DIGEST
from .test_giants import answering

if TYPE_CHECKING:
    from collections.abc import Callable

    from hypothesis.strategies import SearchStrategy

MANY = settings().max_examples
PIECES = (
    "\x1b[2J", "\x1b]0;owned\x07", "\x1b]8;;http://evil.example\x1b\\", "\x1bP1$r\x1b\\", "\x9b31m",
    "\x9d0;x\x9c", "\r", "\n", "\t", "\x00", "\x08", "\x7f", "\u202e", "\u2066", "\u200f", "\u2028",
    "\ufeff", "\u200b", "\ud800", "`", "```", "|", "<script>alert(1)</script>", "<img src=x>",
    "</details>", "</code>", "<!--", "@everyone", "#1", "[x](http://evil.example)", "**", "__",
    "$x$",
    "![x](http://evil.example)", "http://evil.example", "[bold red]", "[/]", "::error::x", "{x}",
    "%s",
    "&lt;", "\\", " ", "a",
)  # fmt: skip
EVIL: SearchStrategy[str] = st.lists(st.sampled_from(PIECES), min_size=1, max_size=5).map("".join)
MANIFESTS = "---\n".join([PROMPTS, target("one", policy={"retries": 0}), target("two")])


class Evil(Honest):
    """Tells the truth, with evil words in one place."""

    def __init__(self, where: str, word: str) -> None:
        super().__init__()
        self._where, self._word = where, word

    def respond(self, request: httpx.Request, path: str) -> httpx.Response:
        status, body = self.truth(request, path)
        change = CHANNELS[self._where]
        status, body = change(
            request.method, path, self._word, status, json.loads(json.dumps(body))
        )
        headers = {"Location": self._word.encode(errors="replace")} if status == 302 else {}
        content = json.dumps(body).encode()
        return httpx.Response(status, content=content, headers=[*map(encoded, headers.items())])


def encoded(header: tuple[str, bytes]) -> tuple[bytes, bytes]:
    return header[0].encode(), re.sub(rb"[\r\n\0]", b"", header[1])


def sentence(key: str, status: int, calls: str) -> Callable[..., tuple[int, Any]]:
    """Refuse some calls with an evil sentence in one of the shapes of the API."""

    def change(method: str, path: str, word: str, told: int, body: Any) -> tuple[int, Any]:
        if not re.search(calls, f"{method} {path}"):
            return told, body
        if key == "detail":
            return status, {"detail": [{"loc": [word, "x"], "msg": word}]}
        return status, {key: word, "code": word}

    return change


def value(calls: str, *keys: str) -> Callable[..., tuple[int, Any]]:
    """Put evil words into good answers."""

    def change(method: str, path: str, word: str, told: int, body: Any) -> tuple[int, Any]:
        if re.search(calls, f"{method} {path}") and told < 300:
            body |= dict.fromkeys(keys, word)
        return told, body

    return change


def failed(method: str, path: str, word: str, told: int, body: Any) -> tuple[int, Any]:
    is_job = path.endswith("/stim")
    return told, {"status": "failed", "lines": 0, "error": word} if is_job and told == 200 else body


def drifted(method: str, path: str, word: str, told: int, body: Any) -> tuple[int, Any]:
    if path.endswith("/targets/one") and told == 200:
        body["config"] |= {
            word: word,
            "model_name": word,
            "extra_kwargs": {word: [word, {word: 1}]},
        }
        body["config"]["generators"] = [{"type": word, word: word}]
    if path.endswith("/prompts/expert") and told == 200:
        body |= {"messages": [{"role": word, "content": word, word: word}]}
    return told, body


def batch(method: str, path: str, word: str, told: int, body: Any) -> tuple[int, Any]:
    is_batch = path.endswith("/batch")
    return told, {"created": [word], "failed": {"one": word, word: word}} if is_batch else body


def redirected(method: str, path: str, word: str, told: int, body: Any) -> tuple[int, Any]:
    return (302, body) if path.endswith("/targets") else (told, body)


CHANNELS: dict[str, Callable[..., tuple[int, Any]]] = {
    "a refusal": sentence("error", 422, "POST .*targets"),
    "a refused read": sentence("message", 400, "GET .*targets/one"),
    "a refused key": sentence("error", 401, "GET .*/prompts"),
    "a fault": sentence("message", 500, "GET .*targets/two"),
    "a validation": sentence("detail", 422, "POST .*prompts"),
    "credits": sentence("message", 402, "POST .*rollout"),
    "a base model": value("GET .*repo/coding$", "base_model"),
    "a status": value("GET .*stim", "status"),
    "a failed job": failed,
    "live values": drifted,
    "a batch": batch,
    "a redirect": redirected,
}


def assert_powerless_on_pages(text: str) -> None:
    """Check what holds for a comment on a pull request, as Markdown reads it."""
    assert not ACTIVE.search(text)
    for line in prose(text):
        rendered = ESCAPED.sub(lambda match: match[0][1], line)
        assert not re.search(r"@\w|#\d|https?://", rendered)
        assert not re.search(r"(?<!\\)<", line)
        assert not re.search(r"(?<!\\)[!\]]\(|(?<!\\)!\[", line)
    for line in text.splitlines():
        if line.startswith("<details>"):
            assert re.findall(r"</?\w+", line) == [
                "<details", "<summary", "<code", "</code", "</summary"
            ]  # fmt: skip
        else:
            outside_code(line)  # which fails where code does not end


@pytest.mark.parametrize("where", CHANNELS)
@settings(max_examples=max(5, MANY // 8))
@given(word=EVIL)
def test_words_of_the_api_have_no_power(
    surroundings: pytest.MonkeyPatch, where: str, word: str
) -> None:
    with tempfile.TemporaryDirectory() as folder, Evil(where, word).answering(surroundings):
        Path(folder, "a.yaml").write_text(MANIFESTS)
        for options in (("apply",), ("apply", "--format", "json"), ("plan", "-v"), ("status",)):
            ended = (
                command(*options, "--timeout", "5s", folder)
                if "apply" in options
                else command(*options, folder)
            )
            assert_calm(ended)
            if "json" in options:
                assert ended.lines[-1]["event"] == "summary"
        for verb in ("plan", "status"):
            assert_calm(found := command(verb, "--format", "json", folder))
            assert isinstance(found.json if found.out else {}, dict)
        assert_powerless_on_pages(command("plan", "--format", "markdown", folder).out)
        lockfile = Path(folder, "reconciler.lock")
        if lockfile.exists():
            assert not ACTIVE.search(lockfile.read_text())


@settings(max_examples=MANY)
@given(EVIL, EVIL)
def test_words_of_manifests_have_no_power(word: str, key: str) -> None:
    """What a manifest declares is foreign as well: it may come with a pull request."""
    spec = {"extra_kwargs": {key: word}, "model_name": word}
    documents = [
        target("one", spec=spec),
        target("two", spec={key: word, "template": word, "teacher_prompt": word}),
        target("three", desired={"stim": {"state": word}}),
    ]
    with tempfile.TemporaryDirectory() as folder:
        for document in documents:
            Path(folder, "a.yaml").write_bytes(
                "---\n".join([PROMPTS, document]).encode(errors="replace")
            )
            for form in ("text", "json", "markdown"):
                ended = command("plan", "--offline", "-v", "--format", form, folder)
                assert_calm(ended)
                if form == "markdown":
                    assert_powerless_on_pages(ended.out)
                if form == "json" and ended.code == ExitCode.OK:
                    assert ended.json["actions"]
            assert_calm(command("validate", "--format", "json", folder))


#: Words that a lockfile can hold as names.
NAMES = EVIL.map(lambda word: word.replace("/", "").replace("\ud800", "") or "x")


def lockfile_of(word: str) -> str:
    """Return a lockfile that says this word wherever it may say one."""
    stage = {"status": word, "lines": 1, "error": word, "attempts": 5}
    entry = {"digest": DIGEST, "live_name": word, "stim": stage}
    lock = {
        "version": 1,
        "api_url": word,
        "repos": {word: {"base_model": word}, "coding": {"base_model": word}},
        "prompts": {f"coding/{word}": {"digest": DIGEST, "live_name": word}},
        "targets": {f"{word}/{word}": entry, "coding/one": entry},
    }
    return json.dumps(lock)


@settings(max_examples=MANY)
@given(NAMES)
def test_words_of_the_lockfile_have_no_power(word: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "a.yaml").write_text(MANIFESTS)
        Path(folder, "reconciler.lock").write_text(lockfile_of(word))
        for form in ("text", "json", "markdown"):
            ended = command("plan", "--offline", "--prune", "-v", "--format", form, folder)
            assert_calm(ended)
            assert ended.code == ExitCode.OK
            if form == "markdown":
                assert_powerless_on_pages(ended.out)
        assert_calm(command("validate", f"--lockfile={folder}/reconciler.lock", folder))
        assert_calm(command("plan", folder))


@settings(max_examples=MANY)
@given(EVIL, st.booleans())
def test_words_of_a_saved_plan_have_no_power(
    surroundings: pytest.MonkeyPatch, word: str, is_for_another: bool
) -> None:
    with tempfile.TemporaryDirectory() as folder, Honest().answering(surroundings):
        Path(folder, "a.yaml").write_text(MANIFESTS)
        file = Path(folder, "plan.json")
        assert command("plan", "--out", file, folder).code == ExitCode.OK
        plan = json.loads(file.read_text())
        plan["digest"] = DIGEST
        plan["actions"][0] |= {"resource": word, "message": word}
        if is_for_another:
            plan["api_url"] = word
        file.write_text(json.dumps(plan))
        ended = command("apply", "--plan", file, folder)
        assert_calm(ended)
        assert ended.code == ExitCode.BLOCKED


def on_terminal(*arguments: str, env: dict[str, str]) -> Ended:
    """Run a command with a terminal for all its streams; return what that showed."""
    master, slave = pty.openpty()
    streams = {"stdin": slave, "stdout": slave, "stderr": slave}
    running = process(*arguments, env={**env, "TERM": "xterm-256color"}, **streams)
    os.close(slave)
    shown = b""
    try:
        while part := os.read(master, 4096):
            shown += part
    except OSError:  # what reading a terminal ends with when nobody writes any more
        pass
    finally:
        os.close(master)
    return Ended(running.wait(60), shown.decode(), "")


#: What our own colours and bars consist of: colours, and moving the cursor within the bars.
OURS = re.compile(r"\x1b\[(?:[0-9;]*m|\?25[lh]|2K|1A|1G)")


def test_on_a_terminal_nothing_but_our_own_colours_and_bars_has_power(tmp_path: Path) -> None:
    word = "".join(piece for piece in PIECES if piece != "\ud800")
    body = json.dumps(
        {"base_model": word, "status": word, "error": word, "targets": [word]}
    ).encode()

    def evil(send: Callable[[bytes], object]) -> None:
        send(f"Content-Length: {len(body)}\r\n\r\n".encode() + body)

    (tmp_path / "a.yaml").write_text(MANIFESTS)
    with answering(evil) as url:
        for verb in (("plan", "-v"), ("apply", "--yes"), ("status",)):
            access = ("--api-url", url)
            ended = on_terminal(*verb, str(tmp_path), *access, env={"BREAD_API_KEY": "k"})
            left = OURS.sub("", ended.out).replace("\r\n", "\n").replace("\r", "")
            assert not ACTIVE.search(left), left


def test_the_pieces_would_have_power_if_they_were_shown() -> None:
    """What is looked for above has to be findable."""
    assert ACTIVE.search("".join(PIECES))
    with pytest.raises(AssertionError):
        assert_powerless_on_pages("see [x](http://evil.example)")
    with pytest.raises(AssertionError):
        assert_powerless_on_pages("ask @everyone")
    with pytest.raises(AssertionError):
        assert_powerless_on_pages("<script>")
    assert_powerless_on_pages("`[x](http://evil.example) @everyone <script>`")

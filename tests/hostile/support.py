"""The command line in this process, a measured process of its own, and what no output may hold."""

from __future__ import annotations

import io
import os
import re
import resource
import subprocess
import sys
import time
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cli.project import Ended
from processes import SAME_CODE

from reconciler.cli.root import run
from reconciler.core.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Mapping

CONTRACT = frozenset(ExitCode)
#: What a process may reserve, so that a mistake here does not take the machine down.
_ADDRESS_SPACE = 4_000_000_000
#: What a terminal obeys instead of showing it, or what turns the text around it.
ACTIVE = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
PROBLEM = re.compile(r".+:[1-9][0-9]*:[1-9][0-9]*: \S.*")


def command(*arguments: str | Path) -> Ended:
    """Run a command line here; an error that nobody foresaw is raised, see ``conftest``."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = run([str(argument) for argument in arguments])
    return Ended(int(code), out.getvalue(), err.getvalue())


def assert_calm(ended: Ended) -> None:
    """Check what holds for every ending, whatever went wrong."""
    assert ended.code in CONTRACT
    shown = ended.out + ended.err
    assert not ACTIVE.search(shown)
    assert "Traceback" not in shown
    assert "internal error" not in shown
    if ended.code not in {ExitCode.OK, ExitCode.PENDING, ExitCode.BLOCKED}:
        assert shown.strip()


def assert_refused_manifests(ended: Ended) -> None:
    """Check that manifests were refused with a place for every problem."""
    assert ended.code == ExitCode.INVALID
    *problems, last = ended.err.removesuffix("\n").split("\n")
    assert problems
    assert all(PROBLEM.fullmatch(line) for line in problems), problems
    counts = r"[\d,]+ errors?(, [\d,]+ warnings?)?"
    assert re.fullmatch(rf"error: the manifests are not valid \({counts}\)", last)


@dataclass(frozen=True, slots=True)
class Measured:
    """How a process ended, in how many seconds and with how many MB at most in memory."""

    code: int
    out: str
    err: str
    seconds: float
    megabytes: int


_TELLING = """
import atexit, re, sys
def tell():
    with open("/proc/self/status") as status:
        sys.stderr.write(re.search(r"VmHWM:\\s+\\d+ kB", status.read())[0])
atexit.register(tell)
from reconciler.cli import main
main()
"""


def measured(
    *arguments: str | Path,
    env: Mapping[str, str] | None = None,
    seconds: float = 60,
    file_size: int = -1,
) -> Measured:
    """Run the command line as a process; ``file_size`` is how far it may write into any file."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_SPACE, _ADDRESS_SPACE))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, file_size))

    clean = {k: v for k, v in os.environ.items() if not k.startswith(("BREAD_", "RECONCILER_"))}
    # A limited process may leave half a file of byte code behind, for others to stumble over.
    clean["PYTHONDONTWRITEBYTECODE"] = "1"
    began = time.monotonic()
    # The peak that the system tells of a process begins with that of its parent: ask itself.
    ended = subprocess.run(
        [sys.executable, "-c", _TELLING, *map(str, arguments)],
        env={**clean, **SAME_CODE, **(env or {})},
        preexec_fn=limit,
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=seconds,
    )
    took = time.monotonic() - began
    err, _, peak = ended.stderr.rpartition("VmHWM:")
    megabytes = int(peak.split()[0]) // 1_000 if peak[:1].isspace() else 0
    return Measured(ended.returncode, ended.stdout, err or ended.stderr, took, megabytes)

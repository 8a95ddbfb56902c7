"""The entry point, which answers what needs no command and leaves everything else to ``root``.

It imports next to nothing, so that ``--version`` takes as long as Python itself. Nothing else ends
the process.
"""

from __future__ import annotations

import gc
import sys

from reconciler import __version__

#: So many new objects make the collector look for cycles: importing makes many and hardly a cycle.
_YOUNG = 10_000


def main() -> None:
    """Run the command line and end the process with an exit code of the contract."""
    if sys.argv[1:] in (["--version"], ["-V"]) and _is_told(f"reconciler {__version__}\n"):
        return
    from reconciler.cli import root, streams

    streams.secure()
    gc.set_threshold(_YOUNG)
    code = root.run(sys.argv[1:], on_end=_ignore_interrupts)
    _ignore_interrupts()
    gc.disable()
    gc.freeze()  # the end of the process frees everything; looking for cycles first only takes time
    sys.exit(int(code))


def _is_told(text: str) -> bool:
    """Write a text to stdout if that is possible; why it is not is for the command line to say."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except (AttributeError, OSError):  # closed from the start, or full
        return False
    return True


def _ignore_interrupts() -> None:
    """Let nothing disturb the last words: the process is about to end anyway."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)

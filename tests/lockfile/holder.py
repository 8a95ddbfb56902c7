"""Holds the run lock of a directory until it is killed; says so on the first line of stdout."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from reconciler.lockfile import hold

if __name__ == "__main__":
    with hold(Path(sys.argv[1])):
        sys.stdout.write("held\n")
        sys.stdout.flush()
        time.sleep(60)

"""Runs the service until it is told to stop; says where it listens on the first line of stdout."""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from reconciler.service import Running, Settings, serve

KEY = "key-of-the-tests"


def announce(running: Running) -> None:
    sys.stdout.write(json.dumps({"url": running.url}) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    serve(
        Settings(Path(sys.argv[1]), port=0, key=KEY, pace=float(sys.argv[2])),
        on_listening=announce,
    )

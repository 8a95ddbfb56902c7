"""Storms without end: seeds upwards from a random one, until interrupted or one fails."""

from __future__ import annotations

import sys
from random import SystemRandom

from .storms import BrokenError, Case, require

#: Seeds between two words about how it goes.
WORD_EVERY = 200


def main() -> int:
    """Run from the seed given as argument, or from a random one; return the exit code."""
    first = int(sys.argv[1]) if len(sys.argv) > 1 else SystemRandom().randrange(10**9)
    say(f"From seed {first} upwards; Ctrl-C ends it.")
    seed = first
    try:
        while True:
            require(Case(seed))
            seed += 1
            if (seed - first) % WORD_EVERY == 0:
                say(f"{seed - first:,} seeds lived through, the last one {seed - 1}.")
    except KeyboardInterrupt:
        say(f"{seed - first:,} seeds lived through, {first} to {seed - 1}.")
        return 0
    except BrokenError as error:
        say(f"Seed {seed}: {error}")
        return 1


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())

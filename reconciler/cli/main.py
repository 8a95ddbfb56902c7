"""The entry point, the group of commands, and the mapping of every ending to an exit code."""

from __future__ import annotations

import importlib
import signal
import sys
from typing import TYPE_CHECKING

import click

from reconciler import __version__
from reconciler.cli import failures
from reconciler.core.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable

#: Every command, where it lives, and what its help says in one line.
COMMANDS = {
    "validate": "Check everything that can be known offline.",
    "plan": "Show what apply would do; change nothing.",
    "apply": "Close the gap, wait, write the lockfile.",
    "status": "Show live lines against wanted lines.",
    "refresh": "Rewrite the lockfile from live state.",
    "destroy": "Delete the declared targets.",
    "serve": "Run the local stim & rollout service.",
    "schema": "Print a JSON Schema.",
}


class _Commands(click.Group):
    """A group whose commands are imported when used; the overview needs none of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"reconciler.cli.commands.{cmd_name}")
        command = module.command
        assert isinstance(command, click.Command)  # noqa: S101 - every command module holds one
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        word = click.utils.make_str(args[0])
        if word not in COMMANDS and not word.startswith("-"):
            from reconciler.core.names import suggest

            raise click.UsageError(f'no command "{word}"{suggest(word, COMMANDS)}', ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "-V", "--version", message="%(prog)s %(version)s")
def cli() -> None:
    """Declarative stim and rollout targets: manifests in, jobs and a lockfile out.

    YAML manifests declare targets; plan diffs them against live job status; apply starts what is
    missing, waits, and records the line counts it observed.

    \b
    Try it without an account:
      reconciler plan  --local examples/quickstart
      reconciler apply --local examples/quickstart

    Exit codes: 0 converged or done, 1 error, 2 changes pending, 3 blocked, 4 another run holds the
    lock, 5 invalid manifests or lockfile, 64 wrong usage, 130 interrupted.
    """


def main() -> None:
    """Run the command line and end the process with an exit code of the contract."""
    code = run(sys.argv[1:], on_end=_ignore_interrupts)
    _ignore_interrupts()
    sys.exit(int(code))


def _ignore_interrupts() -> None:
    """Let nothing disturb the last words: the process is about to end anyway."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def run(arguments: list[str], *, on_end: Callable[[], None] = lambda: None) -> ExitCode:
    """Run a command line; every ending becomes an exit code, and no user sees a traceback.

    ``on_end`` is called before the last words about an error.
    """
    try:
        code = cli.main(arguments, prog_name="reconciler", standalone_mode=False)
    except BaseException as error:  # noqa: BLE001 - the last line of defence
        on_end()
        return failures.report(error)
    return ExitCode(code) if isinstance(code, int) else ExitCode.OK

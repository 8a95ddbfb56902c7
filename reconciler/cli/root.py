"""The group of commands, and the mapping of every ending of one to an exit code.

Commands are imported when they are asked for; the overview needs none of them. Nothing here ends
the process.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

import click

from reconciler import __version__
from reconciler.cli import failures
from reconciler.core.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable

    from click.shell_completion import CompletionItem

#: Every command, where it lives, and what its help says in one line.
COMMANDS = {
    "init": "Write a working project: manifests, CI, settings.",
    "validate": "Check everything that can be known offline.",
    "plan": "Show what apply would do; change nothing.",
    "apply": "Close the gap, wait, write the lockfile.",
    "watch": "Reconcile again and again until stopped.",
    "status": "Show live lines against wanted lines.",
    "report": "Write where everything stands as one HTML file.",
    "refresh": "Rewrite the lockfile from live state.",
    "pull": "Download outputs as JSONL; record their digests.",
    "destroy": "Delete the declared targets.",
    "serve": "Run the local stim & rollout service.",
    "import": "Write manifests for what exists live.",
    "explain": "Say what a field of a manifest means.",
    "schema": "Print a JSON Schema.",
    "completion": "Print a completion script for a shell.",
    "merge-driver": "Merge lockfiles for git.",
}
#: Commands whose module cannot have their name.
_MODULES = {"import": "import_", "merge-driver": "merge_driver"}
_HELP = """Declarative stim and rollout targets: manifests in, jobs and a lockfile out.

YAML manifests declare targets; plan diffs them against live job status; apply starts what is
missing, waits, and records the line counts it observed.

\b
Try it without an account:
  reconciler plan  --local examples/quickstart
  reconciler apply --local examples/quickstart

Exit codes: 0 converged or done, 1 error, 2 changes pending, 3 blocked, 4 another run holds the
lock, 5 invalid manifests or lockfile, 64 wrong usage, 130 interrupted.
"""


class _Commands(click.Group):
    """A group whose commands are imported when used; the overview needs none of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in COMMANDS:
            return None
        name = _MODULES.get(cmd_name, cmd_name)
        module = importlib.import_module(f"reconciler.cli.commands.{name}")
        command = module.command
        assert isinstance(command, click.Command)  # noqa: S101 - every command module holds one
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem[str]]:
        from click.shell_completion import CompletionItem

        words = ((name, told) for name, told in COMMANDS.items() if name.startswith(incomplete))
        named = [CompletionItem(name, help=told) for name, told in words]
        return named + click.Command.shell_complete(self, ctx, incomplete)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        word = click.utils.make_str(args[0])
        if word not in COMMANDS and not word.startswith("-"):
            from reconciler.core.names import suggest

            raise click.UsageError(f'no command "{word}"{suggest(word, COMMANDS)}', ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=_Commands, help=_HELP, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "-V", "--version", message="%(prog)s %(version)s")
def cli() -> None:
    """Read the command line as far as the command."""


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

"""``reconciler completion``."""

from __future__ import annotations

import click

from reconciler.cli import options, output

SHELLS = ("bash", "zsh", "fish")
_VARIABLE = "_RECONCILER_COMPLETE"


@click.command(
    "completion",
    help="""Print a script that lets a shell complete commands, options, targets and files.

    \b
    bash   eval "$(reconciler completion bash)"       in ~/.bashrc
    zsh    eval "$(reconciler completion zsh)"        in ~/.zshrc, after compinit
    fish   reconciler completion fish | source        in ~/.config/fish/config.fish

    Names of targets come from the manifests of PATH where it stands before the option, and of the
    working directory else.""",
    epilog=options.examples(
        "reconciler completion bash",
        "reconciler completion zsh",
        "reconciler completion fish",
    ),
)
@click.argument("shell", type=click.Choice(SHELLS))
def command(shell: str) -> int:
    """Print a completion script."""
    from click.shell_completion import ShellComplete, get_completion_class

    from reconciler.cli.root import cli
    from reconciler.core.errors import ExitCode

    kind = get_completion_class(shell)
    assert kind  # noqa: S101 - click knows all of them
    # The base method, because that of bash starts a bash only to ask for its version.
    script = ShellComplete.source(kind(cli, {}, "reconciler", _VARIABLE))
    output.result(script.strip("\n") + "\n")
    return ExitCode.OK

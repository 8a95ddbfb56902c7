"""The options that commands share, and what they mean together."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from reconciler.cli import completing
from reconciler.cli.common import Common
from reconciler.core.limits import MAX_DELETIONS, PARALLELISM

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from reconciler.core.selection.shard import Shard


def examples(*lines: str) -> str:
    """Return the end of a command's help: command lines that work as they stand."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


def with_options(
    command: Callable[..., Any], added: Sequence[Callable[..., Any]]
) -> Callable[..., Any]:
    """Return a command with options, which its help shows in this order."""
    for option in reversed(added):
        command = option(command)
    return command


def duration(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    """Return the seconds of an option written as a duration."""
    from reconciler.core import durations

    try:
        return None if value is None else durations.parse(value)
    except ValueError as error:
        raise click.BadParameter(str(error), ctx, param) from None


def common(*formats: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add the common options to a command, which then takes them as one ``Common``."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(command)
        def with_common(*args: Any, **options: Any) -> Any:
            names = Common.__dataclass_fields__
            shared = Common(**{name: options.pop(name) for name in names})
            return command(*args, common=shared, **options)

        return with_options(with_common, _common_options(formats))

    return decorate


def access(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options about the API to a command, which then takes them as one ``Access``."""

    @functools.wraps(command)
    def with_access(*args: Any, **options: Any) -> Any:
        from reconciler.workflow.access import Access

        chosen = {name: options.pop(name) for name in _ABOUT_ACCESS}
        held = functools.partial(_tell_of_hold, options["common"])
        given = Access(**chosen, environment=os.environ, held=held)
        return command(*args, access=given, **options)

    return with_options(with_access, _ACCESS)


def no_access(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options about the API to a command that asks nothing of any, and takes none."""

    @functools.wraps(command)
    def without_access(*args: Any, **options: Any) -> Any:
        taken = {name: value for name, value in options.items() if name not in _ABOUT_ACCESS}
        return command(*args, **taken)

    return with_options(without_access, _ACCESS)


def _tell_of_hold(common: Common, seconds: float) -> None:
    from reconciler.cli.output import note
    from reconciler.core import durations

    note(common, f"The API asks for a pause (429): going on in {durations.text(seconds)}.")


_ABOUT_ACCESS = ("local", "api_url", "user_id", "allow_http")
_ACCESS = (
    click.option("--local", is_flag=True, help="Use the embedded service instead of an API."),
    click.option("--api-url", metavar="URL", help="The API to speak to."),
    click.option("--user-id", metavar="ID", help="Act for another user (needs the master key)."),
    click.option("--allow-http", is_flag=True, help="Allow plain http beyond this machine."),
)


def _common_options(formats: tuple[str, ...]) -> tuple[Callable[..., Any], ...]:
    return (
        click.argument("path", default=".", type=click.Path(path_type=Path, readable=False)),
        click.option(
            "--lockfile",
            type=click.Path(path_type=Path, readable=False),
            help="The lockfile; by default reconciler.lock beside the manifests.",
        ),
        click.option(
            "--format",
            type=click.Choice(formats),
            default=formats[0],
            show_default=True,
            help="The form of the result on stdout.",
        ),
        click.option(
            "-v",
            "--verbose",
            is_flag=True,
            help="Say more: what is unchanged, read and asked.",
        ),
        quiet,
        click.option("--no-color", is_flag=True, help="No colour; so does NO_COLOR."),
    )


#: For commands that have something to be quiet about.
quiet = click.option("-q", "--quiet", is_flag=True, help="Say nothing but results and errors.")
#: The common options that say how much is told, and how.
_FLAGS = {
    "verbose": ("-v", "--verbose"),
    "quiet": ("-q", "--quiet"),
    "no_color": ("--no-color",),
}


def indifferent(*flags: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add those common flags to a command to which they make no difference."""
    added = [
        click.option(*_FLAGS[flag], is_flag=True, expose_value=False, help="Changes nothing here.")
        for flag in flags
    ]
    return lambda command: with_options(command, added)


def scope(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that narrow a command, which then takes them as one ``Scope``."""

    @functools.wraps(command)
    def with_scope(*args: Any, **options: Any) -> Any:
        from reconciler.core.selection.scope import Scope

        names = ("labels", "target", "exclude", "shard")
        return command(*args, scope=Scope(*(options.pop(name) for name in names)), **options)

    return with_options(with_scope, _SCOPE)


def _labels(
    ctx: click.Context, param: click.Parameter, values: tuple[str, ...]
) -> tuple[tuple[str, str], ...]:
    pairs = [pair.partition("=") for value in values for pair in value.split(",")]
    if any(not key or not equals for key, equals, _ in pairs):
        raise click.BadParameter("write a label as key=value", ctx, param)
    return tuple((key.strip(), value.strip()) for key, _, value in pairs)


def _shard(ctx: click.Context, param: click.Parameter, value: str | None) -> Shard | None:
    if value is None:
        return None
    from reconciler.core.selection import shard

    try:
        return shard.parse(value)
    except ValueError as error:
        raise click.BadParameter(str(error), ctx, param) from None


_SCOPE = (
    click.option(
        "-l",
        "--selector",
        "labels",
        multiple=True,
        callback=_labels,
        shell_complete=completing.labels,
        metavar="K=V",
        help="Only targets with this label.",
    ),
    click.option(
        "--target",
        multiple=True,
        shell_complete=completing.targets,
        metavar="REPO/NAME",
        help="Only these targets; * and ? match.",
    ),
    click.option(
        "--exclude",
        multiple=True,
        shell_complete=completing.targets,
        metavar="REPO/NAME",
        help="Not these targets.",
    ),
    click.option(
        "--shard", callback=_shard, metavar="I/N", help="Only the I-th of N parts, such as 2/5."
    ),
)


def planning(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that shape a plan to a command, which then takes them as ``PlanOptions``."""

    @functools.wraps(command)
    def with_planning(*args: Any, **options: Any) -> Any:
        from reconciler.workflow.verbs.planning import PlanOptions

        names = ("prune", "max_deletions", "max_trajectories", "parallelism")
        chosen = {name: options.pop(name) for name in names}
        return command(*args, planning=PlanOptions(**chosen), **options)

    return with_options(with_planning, _PLANNING)


def locking(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the option about the run lock to a command, which then takes it as one ``Patience``."""

    @functools.wraps(command)
    def with_patience(*args: Any, **options: Any) -> Any:
        from reconciler.cli.output import note
        from reconciler.lockfile import Patience
        from reconciler.render.style import safe

        common, seconds = options["common"], options.pop("lock_timeout")
        patience = Patience(seconds or 0.0, lambda text: note(common, safe(text)))
        return command(*args, patience=patience, **options)

    decorated: Callable[..., Any] = click.option(
        "--lock-timeout",
        callback=duration,
        metavar="DURATION",
        help="Wait so long for another run to end; without it, fail at once.",
    )(with_patience)
    return decorated


_PLANNING = (
    click.option(
        "--parallelism",
        type=click.IntRange(1, 10_000),
        default=PARALLELISM,
        show_default=True,
        metavar="N",
        help="Targets worked on at once.",
    ),
    click.option("--prune", is_flag=True, help="Delete what is no longer declared."),
    click.option(
        "--max-deletions",
        type=click.IntRange(min=0),
        default=MAX_DELETIONS,
        show_default=True,
        metavar="N",
        help="Block a plan that would prune more targets than that.",
    ),
    click.option(
        "--max-trajectories",
        type=click.IntRange(min=0),
        metavar="N",
        help="Block a plan that would generate more than that.",
    ),
)

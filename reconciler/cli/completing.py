"""What a shell may offer for values of options and arguments. Offers nothing rather than fail."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import click

    from reconciler.workflow.glance import Glimpse


def targets(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Return the addresses of declared targets that begin like that."""
    del param
    return [seen.address for seen in _seen(ctx) if seen.address.startswith(incomplete)]


def labels(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Return the labels of declared targets that begin like that."""
    del param
    found = {f"{key}={value}" for seen in _seen(ctx) for key, value in seen.labels.items()}
    shown = {label for label in found if label.isascii() and label.isprintable()}
    return sorted(label for label in shown if label.startswith(incomplete) and " " not in label)


def schemas(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Return the names of schemas that begin like that; with versions only where one is begun."""
    from reconciler import schema_files

    del ctx, param
    known = schema_files.names()
    newest = sorted({name.partition(".")[0] for name in known})
    fitting = [name for name in newest if name.startswith(incomplete)]
    return fitting or [name for name in known if name.startswith(incomplete)]


def _seen(ctx: click.Context) -> list[Glimpse]:
    from reconciler.workflow import glance

    # The option that still lacks its value keeps click from telling what is left to be the path.
    given = [*ctx.args, ctx.params.get("path") or "."]
    return glance.targets(Path(given[0]))

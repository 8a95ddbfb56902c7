"""``reconciler schema``."""

from __future__ import annotations

import click

from reconciler.cli import completing, options, output


@click.command(
    "schema",
    epilog=options.examples(
        "reconciler schema",
        "reconciler schema plan > plan.schema.json",
    ),
)
@click.argument("name", default="manifest", shell_complete=completing.schemas)
@click.option(
    "--format",
    type=click.Choice(("text", "json")),
    default="text",
    expose_value=False,
    help="JSON either way.",
)
@options.indifferent("verbose", "quiet", "no_color")
def command(name: str) -> int:
    """Print a JSON Schema: manifest (the default), lockfile, plan, event, round, api or rehearsal.

    A name may carry its version: manifest.v1.
    """
    from reconciler import schema_files
    from reconciler.core.errors import ExitCode
    from reconciler.core.names import suggest

    try:
        output.result(schema_files.text(name))
    except KeyError:
        known = schema_files.names()
        raise click.UsageError(
            f'no schema "{name}"{suggest(name, known)}; there are {", ".join(known)}',
            click.get_current_context(),
        ) from None
    return ExitCode.OK

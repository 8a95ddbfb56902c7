"""``reconciler explain``."""

from __future__ import annotations

import click

from reconciler.cli import options, output

_NEXT = "\nreconciler explain KIND.FIELD says more, such as target.spec.generators.\n"


def _offered(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Return what a shell may offer: kinds, or the fields of what is written already."""
    del ctx, param
    from reconciler import schema_files
    from reconciler.core.schema import fields

    above, dot, _ = incomplete.rpartition(".")
    schema = schema_files.load("manifest")
    try:
        found = fields.find(schema, above).fields if dot else fields.kinds(schema)
    except fields.UnknownFieldError:
        return []
    names = (f"{above}{dot}{field.name if dot else field.name.lower()}" for field in found)
    return [name for name in names if name.startswith(incomplete) and "<" not in name]


@click.command(
    "explain",
    epilog=options.examples(
        "reconciler explain",
        "reconciler explain target.spec.generators",
        "reconciler explain --recursive targetset",
    ),
)
@click.argument("field", metavar="[KIND[.FIELD]...]", default="", shell_complete=_offered)
@click.option("--recursive", is_flag=True, help="Show the whole tree of fields below.")
@click.option(
    "--format",
    "form",
    type=click.Choice(("text", "json")),
    default="text",
    show_default=True,
    help="The form of the result on stdout.",
)
@options.indifferent("verbose", "quiet", "no_color")
def command(field: str, recursive: bool, form: str) -> int:
    """Say what a field of a manifest means: its type, bounds, default and fields.

    Without an argument, says which kinds of document there are. Indexes as in error messages are
    welcome: target.spec.generators[0].numq. Reads no manifests.
    """
    from reconciler.core.errors import ExitCode

    if recursive and not field:
        raise click.UsageError("--recursive needs a kind", click.get_current_context())
    output.result(_field(field, recursive, form) if field else _kinds(form))
    return ExitCode.OK


def _field(path: str, recursive: bool, form: str) -> str:
    from reconciler import schema_files
    from reconciler.core.schema import fields
    from reconciler.render import fields as rendered

    try:
        found = fields.find(schema_files.load("manifest"), path, recursive=recursive)
    except fields.UnknownFieldError as error:
        raise click.UsageError(str(error), click.get_current_context()) from None
    if form == "json":
        return _json(rendered.value(found))
    return rendered.text(found, width=output.width(), recursive=recursive)


def _kinds(form: str) -> str:
    from reconciler import schema_files
    from reconciler.core.schema import fields
    from reconciler.render import fields as rendered

    found = fields.kinds(schema_files.load("manifest"))
    if form == "json":
        return _json({"kinds": [rendered.value(kind) for kind in found]})
    return rendered.kinds(found, width=output.width()) + _NEXT


def _json(value: object) -> str:
    from reconciler.render import json

    return json.text(value)

"""``reconciler serve``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from reconciler.service import Running


@click.command("serve")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", default=8080, show_default=True, type=click.IntRange(0, 65535))
@click.option(
    "--data",
    default=Path(".reconciler/service"),
    show_default=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Where all state lives.",
)
@click.option(
    "--datasets",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Where NAME.jsonl files for from_dataset lie.",
)
@click.option(
    "--pace",
    default=0.0,
    type=click.FloatRange(0, 3600),
    metavar="SECONDS",
    help="Let every answer of the offline model take so long, to rehearse waiting.",
)
def command(host: str, port: int, data: Path, datasets: Path | None, pace: float) -> int:
    """Run the local stim & rollout service until stopped.

    It speaks the hosted API. The key is BREAD_API_KEY (and BREAD_MASTER_KEY, which may act for
    other users); without one it makes a key, shows how to use it, and serves this machine alone.
    """
    from reconciler import service
    from reconciler.core.errors import ExitCode, ReconcilerError

    key = os.environ.get("BREAD_API_KEY") or None
    settings = service.Settings(
        data=data,
        host=host,
        port=port,
        key=key,
        master_key=os.environ.get("BREAD_MASTER_KEY") or None,
        datasets=datasets,
        pace=pace,
    )

    def announce(running: Running) -> None:
        click.echo(f"listening on {running.url}", err=True)
        if key is None:
            click.echo(
                "No BREAD_API_KEY is set, so this run made a key. In another shell:", err=True
            )
            click.echo(f"  export BREAD_BASE_URL={running.url}", err=True)
            click.echo(f"  export BREAD_API_KEY={running.key}", err=True)

    try:
        service.serve(settings, on_listening=announce)
    except service.ServiceError as error:
        raise ReconcilerError(error.message, hint=error.hint) from error
    return ExitCode.OK

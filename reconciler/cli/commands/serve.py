"""``reconciler serve``."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from reconciler.cli import options

if TYPE_CHECKING:
    from reconciler.service import Running


def model_url(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    """Check the address of a model endpoint as far as that is possible without asking it."""
    if value is None:
        return None
    try:
        parts = urlsplit(value)
        is_named = re.fullmatch(r"[^\s\\%/<>\"|^`{}]+", parts.hostname or "") is not None
        is_usable = parts.scheme in {"http", "https"} and is_named and parts.port != 0
    except ValueError:
        is_usable = False
    if not is_usable:
        raise click.BadParameter("expected something like http://127.0.0.1:8000/v1")
    if parts.username or parts.password:
        raise click.BadParameter("it may not hold a user or password; the key is OPENAI_API_KEY")
    return value


def _is_in_the_clear(url: str) -> bool:
    from reconciler.service import is_loopback

    parts = urlsplit(url)
    return parts.scheme == "http" and not is_loopback(parts.hostname or "")


def _write(line: str) -> None:
    sys.stderr.write(line)
    sys.stderr.flush()


@click.command(
    "serve",
    epilog=options.examples(
        "reconciler serve --port 8765",
        "reconciler serve --port 8765 --model-url http://127.0.0.1:11434/v1",
    ),
)
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
    help="Where NAME.jsonl, NAME.csv or NAME.parquet of from_dataset generators lie.",
)
@click.option(
    "--model-url",
    metavar="URL",
    callback=model_url,
    help="Base of an OpenAI-compatible endpoint (…/v1) that answers instead of the offline model;"
    " its key is OPENAI_API_KEY.",
)
@click.option(
    "--pace",
    default=0.0,
    type=click.FloatRange(0, 3600),
    metavar="SECONDS",
    help="Let every row take so long at least, to rehearse waiting.",
)
@click.option("--access-log", is_flag=True, help="Write a line of JSON to stderr for every call.")
@click.option(
    "--rehearse",
    "rehearsal",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Let go wrong what FILE says, for tests and demos; see docs/rehearsal.md.",
)
@options.indifferent("verbose", "quiet", "no_color")
def command(
    host: str,
    port: int,
    data: Path,
    datasets: Path | None,
    model_url: str | None,
    pace: float,
    access_log: bool,
    rehearsal: Path | None,
) -> int:
    """Run the local stim & rollout service until stopped.

    It speaks the hosted API. The key is BREAD_API_KEY (and BREAD_MASTER_KEY, which may act for
    other users); without one it makes a key, shows how to use it, and serves this machine alone.
    Metrics are at /metrics, the description of the API at /openapi.json.
    """
    from reconciler import service
    from reconciler.core.errors import ExitCode, ReconcilerError
    from reconciler.render.style import safe

    key, model_key = _key("BREAD_API_KEY"), _key("OPENAI_API_KEY")
    settings = service.Settings(
        data=data,
        host=host,
        port=port,
        key=key,
        master_key=_key("BREAD_MASTER_KEY"),
        datasets=datasets,
        pace=pace,
        model_url=model_url,
        model_key=model_key,
        access_log=_write if access_log else None,
        rehearsal=rehearsal,
    )
    if model_url and model_key and _is_in_the_clear(model_url):
        click.echo(
            "warning: --model-url is plain http: OPENAI_API_KEY is sent unprotected", err=True
        )

    def announce(running: Running) -> None:
        click.echo(f"listening on {running.url}", err=True)
        if rehearsal:
            click.echo(f"rehearsing {rehearsal}: this service fails on purpose", err=True)
        if key is None:
            click.echo(
                "No BREAD_API_KEY is set, so this run made a key. In another shell:", err=True
            )
            click.echo(f"  export BREAD_BASE_URL={running.url}", err=True)
            click.echo(f"  export BREAD_API_KEY={running.key}", err=True)

    try:
        service.serve(settings, on_listening=announce)
    except service.ServiceError as error:
        *others, last = error.message.split("\n")
        for line in others:
            click.echo(safe(line), err=True)
        raise ReconcilerError(last, hint=error.hint) from error
    return ExitCode.OK


def _key(name: str) -> str | None:
    """Return a key of the environment; white space around it is no part of it."""
    return os.environ.get(name, "").strip() or None

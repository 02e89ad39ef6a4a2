"""The table of commands, and the options that stand before all of them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from importlib import metadata
from typing import Annotated, Any

import typer
from typer.main import get_command

from settee.cli import database, discovery, documents, listener, replication, scene
from settee.cli.exits import EXIT_CODES_HELP
from settee.cli.render import line, problem

__all__ = ["app", "command", "is_verbose"]

app = typer.Typer(
    name="settee",
    help="A JSON document database that syncs peer to peer, and speaks Couchbase Lite's protocol.",
    epilog=EXIT_CODES_HELP,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_COMMANDS: tuple[tuple[str, Callable[..., Any], str], ...] = (
    ("listen", listener.listen, "Sync"),
    ("browse", discovery.browse, "Sync"),
    ("sync", replication.sync, "Sync"),
    ("push", replication.push, "Sync"),
    ("pull", replication.pull, "Sync"),
    ("ls", documents.ls, "Documents"),
    ("cat", documents.cat, "Documents"),
    ("put", documents.put, "Documents"),
    ("rm", documents.rm, "Documents"),
    ("info", database.info, "Documents"),
    ("demo", scene.demo, "See it"),
)
for _name, _function, _panel in _COMMANDS:
    app.command(_name, rich_help_panel=_panel)(_function)


class _Sentences(logging.Handler):
    """Shows errors in the log as sentences; warnings are what the commands say themselves."""

    def emit(self, record: logging.LogRecord) -> None:
        problem(record.getMessage())


_verbosity = {"level": 0}


def command() -> Callable[..., Any]:
    """Return the whole command line as a callable of Click's kind (``args``, ``prog_name``)."""
    _verbosity["level"] = 0
    return get_command(app)


def is_verbose() -> bool:
    """Whether this run was asked for more than sentences."""
    return _verbosity["level"] > 0


def _show_version(wanted: bool) -> None:
    if wanted:
        line(f"settee {metadata.version('settee')}")
        raise typer.Exit


@app.callback()
def _before_all(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
    verbose: Annotated[
        int,
        typer.Option(
            "--verbose",
            "-v",
            count=True,
            show_default=False,
            help="Log to standard error (-vv: all).",
        ),
    ] = 0,
) -> None:
    _verbosity["level"] = verbose
    log = logging.getLogger("settee")
    if verbose:
        logging.basicConfig(format="%(asctime)s %(levelname)-7s %(name)s %(message)s")
        log.setLevel(logging.DEBUG if verbose > 1 else logging.INFO)
    elif not any(isinstance(handler, _Sentences) for handler in log.handlers):
        log.addHandler(_Sentences(logging.ERROR))

"""The table of commands, and the options that stand before all of them."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from importlib import metadata
from typing import Annotated, Any

import typer
from typer.main import get_command

from settee.cli import (
    certificates,
    collections,
    copying,
    database,
    discovery,
    documents,
    expiry,
    exporting,
    history,
    importing,
    listener,
    replication,
    scene,
    tour,
    upkeep,
    users,
    watching,
)
from settee.cli.exits import EXIT_CODES_HELP
from settee.cli.render import line, problem

__all__ = ["app", "command", "is_verbose"]

app: typer.Typer = typer.Typer(
    name="settee",
    help="A JSON document database that syncs peer to peer, and speaks Couchbase Lite's protocol.",
    epilog=EXIT_CODES_HELP,
    invoke_without_command=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_COMMANDS: tuple[tuple[str, Callable[..., Any], str], ...] = (
    ("demo", scene.demo, "See it"),
    ("listen", listener.listen, "Sync"),
    ("browse", discovery.browse, "Sync"),
    ("sync", replication.sync, "Sync"),
    ("push", replication.push, "Sync"),
    ("pull", replication.pull, "Sync"),
    ("ls", documents.ls, "Documents"),
    ("cat", documents.cat, "Documents"),
    ("put", documents.put, "Documents"),
    ("rm", documents.rm, "Documents"),
    ("revs", history.revs, "Documents"),
    ("expire", expiry.expire, "Documents"),
    ("watch", watching.watch, "Documents"),
    ("import", importing.import_documents, "Databases"),
    ("export", exporting.export_documents, "Databases"),
    ("cp", copying.cp, "Databases"),
    ("info", database.info, "Databases"),
    ("collections", collections.collections, "Databases"),
    ("mkcoll", collections.mkcoll, "Databases"),
    ("rmcoll", collections.rmcoll, "Databases"),
    ("check", upkeep.check, "Databases"),
    ("compact", upkeep.compact, "Databases"),
    ("reindex", upkeep.reindex, "Databases"),
)
for _name, _function, _panel in _COMMANDS:
    app.command(_name, rich_help_panel=_panel)(_function)
app.add_typer(certificates.app, name="cert", rich_help_panel="Access")
app.add_typer(users.app, name="user", rich_help_panel="Access")


class _Sentences(logging.Handler):
    """Shows errors in the log as sentences; warnings are what the commands say themselves."""

    def emit(self, record: logging.LogRecord) -> None:
        problem(record.getMessage())


_verbosity = {"level": 0}


def command() -> Any:
    """Return the whole command line, a group of Click's kind."""
    _verbosity["level"] = 0
    return _tree()


@functools.cache
def _tree() -> Any:
    """Return the whole command line, its help laid out for any width of a terminal."""
    tree: Any = get_command(app)
    for command in tree.commands.values():
        for each in (command, *getattr(command, "commands", {}).values()):
            each.help = _unwrapped(each.help or "")
    return tree


def _unwrapped(text: str) -> str:
    """Return text with each paragraph on one line: source lines are no lines of a terminal."""
    return "\n\n".join(" ".join(part.split()) for part in text.split("\n\n"))


def is_verbose() -> bool:
    """Whether this run was asked for more than sentences."""
    return _verbosity["level"] > 0


def _show_version(wanted: bool) -> None:
    if wanted:
        line(f"settee {metadata.version('settee')}")
        raise typer.Exit


@app.callback()
def _before_all(
    context: typer.Context,
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
    if context.invoked_subcommand is None:
        tour.show()

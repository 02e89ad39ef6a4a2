"""``settee demo``: three devices in one terminal, syncing with nothing between."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["demo"]


def demo(
    fast: Annotated[
        bool, typer.Option("--fast", help="Without the pauses that let a person read.")
    ] = False,
    keep: Annotated[
        Path | None,
        typer.Option(
            "--keep",
            metavar="DIR",
            help="Leave the three databases in this directory (made new) to look at afterwards.",
        ),
    ] = None,
) -> None:
    """Three devices keep one produce list, in this terminal.

    Kitchen, Shop and Van: each is a process of its own with its own database. They find each other
    by DNS-SD, sync over TLS with a password, are edited at the same time, lose the Van for a while
    and get it back. At the end all documents and pictures of the three are compared: exit code 0 if
    they are equal, else 1, with the items that differ.
    """
    # The sample app stands above settee; it is loaded only when it is asked for.
    from settee_inventory.demo import run

    raise typer.Exit(run(fast=fast, keep=keep))

"""What bare ``settee`` says: a first walk, in commands that work when they are pasted."""

from __future__ import annotations

import os
from typing import Final

from settee.cli.render import line

__all__ = ["COMMANDS", "show"]

_BODY: Final = (
    '"{\\"name\\": \\"Apples\\", \\"quantity\\": 10}"'
    if os.name == "nt"
    else """'{"name": "Apples", "quantity": 10}'"""
)

COMMANDS: Final = (
    f"settee put pantry apples {_BODY}",
    "settee ls pantry --long",
    "settee export pantry",
)
"""In this order they work in an empty directory."""

_TEXT: Final = f"""\
settee: a JSON document database that syncs peer to peer, no server between.

Three commands to begin with. They make the database pantry in this directory:

  {COMMANDS[0]}
  {COMMANDS[1]}
  {COMMANDS[2]}

Then let another device on this network have it:

  settee listen pantry --user bob --advertise      here; asks for a password
  settee browse                                    there; who is near?
  settee sync pantry wss://… --user bob --pin …    there; as `listen` says

  settee demo       three devices in one terminal: met, synced, cut off, merged
  settee --help     all commands; settee COMMAND --help tells all about one
  settee --install-completion    Tab knows commands, databases, document IDs\
"""


def show() -> None:
    """Print the tour."""
    for each in _TEXT.split("\n"):
        line(each)

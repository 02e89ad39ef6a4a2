"""``settee user``: the file of users that ``settee listen --users`` lets in."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from settee import HashedUsers, NotFoundError
from settee.cli.credentials import PasswordFileOption, password_of
from settee.cli.database import JsonOption
from settee.cli.render import line, notice, show_json

__all__ = ["app"]

app: typer.Typer = typer.Typer(
    help="Users and hashed passwords, in a file for `listen --users`.", no_args_is_help=True
)

FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="The file of users.")]
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The user.")]


@app.command("add")
def add(file: FileArgument, name: NameArgument, password_file: PasswordFileOption = None) -> None:
    """Add a user, or give one a new password. Makes the file if it is missing.

    The password comes from --password-file, from the variable SETTEE_PASSWORD, or is asked for. It
    can't be read back from the file.
    """
    try:
        users = HashedUsers.load(file)
    except NotFoundError:
        users = HashedUsers()
    is_known = name in users
    users.add(name, password_of(name, given=None, file=password_file, is_new=True))
    users.save(file)
    notice(f"{name} has a new password." if is_known else f"Added {name} to {file}.")


@app.command("remove")
def remove(file: FileArgument, name: NameArgument) -> None:
    """Remove a user. A listener that runs notices when it is started again."""
    users = HashedUsers.load(file)
    if not users.remove(name):
        raise NotFoundError(f"there is no user {name!r} in {file}")
    users.save(file)


@app.command("list")
def list_users(file: FileArgument, as_json: JsonOption = False) -> None:
    """List the users, one per line."""
    users = HashedUsers.load(file)
    if as_json:
        show_json(list(users))
        return
    for name in users:
        line(name)

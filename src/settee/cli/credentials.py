"""Where a command gets a password from.

Never only from the command line: what is typed there is seen by every user of the machine and
kept in the shell's history. In this order: ``--password`` (allowed, with that warning in its help),
``--password-file`` (``-`` is standard input), the environment's ``SETTEE_PASSWORD``, a prompt.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from settee.errors import ConfigError

__all__ = [
    "BUNDLE_PASSWORD_VARIABLE",
    "PASSWORD_VARIABLE",
    "PasswordFileOption",
    "PasswordOption",
    "UserOption",
    "bundle_password",
    "password_of",
]

PASSWORD_VARIABLE: Final = "SETTEE_PASSWORD"  # noqa: S105 - the variable's name, not a password
BUNDLE_PASSWORD_VARIABLE: Final = "SETTEE_PKCS12_PASSWORD"  # noqa: S105 - likewise

_PASSWORD_BYTES_MAX: Final = 4096
"""More is no password but the wrong file."""

UserOption = Annotated[
    str | None, typer.Option("--user", "-u", metavar="NAME", help="User name at the peer.")
]
PasswordOption = Annotated[
    str | None,
    typer.Option(
        "--password",
        metavar="TEXT",
        help="Password. Others on this machine can see it here: better use --password-file, "
        f"the variable {PASSWORD_VARIABLE}, or wait for the prompt.",
    ),
]
PasswordFileOption = Annotated[
    str | None,
    typer.Option(
        "--password-file",
        metavar="FILE",
        help="File whose first line is the password; - is standard input.",
    ),
]


def password_of(user: str, *, given: str | None, file: str | None, is_new: bool = False) -> str:
    """Return the password of `user` from the first place that has one; a new one is asked twice.

    Raises `ConfigError` if there is none and nobody to ask, or if it can't be one.
    """
    if given is not None and file is not None:
        raise ConfigError("--password-file", "give it or --password, not both")
    if given is not None:
        return _checked("--password", given)
    if file is not None:
        return _checked("--password-file", _first_line(file))
    from_environment = os.environ.get(PASSWORD_VARIABLE)
    if from_environment is not None:
        return _checked(PASSWORD_VARIABLE, from_environment)
    if not sys.stdin.isatty():
        raise ConfigError(
            "--user",
            f"no password for {user!r}: set {PASSWORD_VARIABLE} or give --password-file FILE",
        )
    asked = typer.prompt(
        f"Password for {user}", hide_input=True, confirmation_prompt=is_new, err=True
    )
    return _checked("password", str(asked))


def bundle_password(bundle: Path) -> str:
    """Return the password of a PKCS#12 file: from the environment, else asked for.

    Empty is a possible one. Raises `ConfigError` if there is none and nobody to ask.
    """
    from_environment = os.environ.get(BUNDLE_PASSWORD_VARIABLE)
    if from_environment is not None:
        return from_environment
    if not sys.stdin.isatty():
        raise ConfigError(
            "--pkcs12", f"no password for {bundle.name}: set {BUNDLE_PASSWORD_VARIABLE}"
        )
    prompt = f"Password of {bundle.name}"
    return str(typer.prompt(prompt, default="", hide_input=True, show_default=False, err=True))


def _first_line(file: str) -> str:
    if file == "-":
        raw = sys.stdin.buffer.readline(_PASSWORD_BYTES_MAX + 2)
    else:
        with Path(file).open("rb") as source:
            raw = source.readline(_PASSWORD_BYTES_MAX + 2)
    try:
        return raw.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        raise ConfigError("--password-file", f"{file} is not UTF-8 text") from None


def _checked(source: str, password: str) -> str:
    if not password:
        raise ConfigError(source, "the password is empty")
    if len(password.encode()) > _PASSWORD_BYTES_MAX:
        raise ConfigError(source, f"longer than {_PASSWORD_BYTES_MAX} bytes; is it the wrong file?")
    return password

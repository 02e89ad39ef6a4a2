"""What people enter, checked: names, numbers, and users as names of directories."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from typing import Final

from settee_inventory.book.errors import InputError

__all__ = ["NAME_CHARACTERS_MAX", "QUANTITY_MAX", "UNIT_CHARACTERS_MAX"]
__all__ += ["amount", "directory_of", "name", "step", "text"]

NAME_CHARACTERS_MAX: Final = 100
UNIT_CHARACTERS_MAX: Final = 20
QUANTITY_MAX: Final = 1_000_000_000

_DIRECTORY_CHARACTERS_MAX: Final = 100
_PLAIN: Final = re.compile(r"[a-z0-9-]")


def name(given: object) -> str:
    """Return a name without spaces around it. Raises InputError if that can't be one."""
    cleaned = text(given, NAME_CHARACTERS_MAX, "name")
    if not cleaned:
        raise InputError("A name needs at least one character.")
    return cleaned


def text(given: object, characters_max: int, what: str) -> str:
    """Return a line of text without spaces around it. Raises InputError."""
    if not isinstance(given, str):
        raise InputError(f"The {what} must be text.")
    cleaned = " ".join(given.split())
    if any(unicodedata.category(c) in ("Cc", "Cs", "Co", "Cn") for c in cleaned):
        raise InputError(f"The {what} has characters that can't be shown. Type it anew.")
    if len(cleaned) > characters_max:
        raise InputError(f"The {what} is too long: use at most {characters_max} characters.")
    return cleaned


def amount(given: object, what: str = "quantity") -> int:
    """Return a number of things there are. Raises InputError for what isn't one."""
    if type(given) is not int or not 0 <= given <= QUANTITY_MAX:
        raise InputError(f"The {what} must be a whole number from 0 to {QUANTITY_MAX:,}.")
    return given


def step(given: object) -> int:
    """Return a number to count up or down by. Raises InputError for what isn't one."""
    if type(given) is not int or not -QUANTITY_MAX <= given <= QUANTITY_MAX:
        raise InputError(f"Count by a whole number, at most {QUANTITY_MAX:,} up or down.")
    return given


def directory_of(user: str) -> str:
    """Return the name of a user's directory, the same on every system.

    Two users never share one, also where capitals make no difference: what is not ``a-z 0-9 -`` is
    written as ``_`` and its code in hex. A long one is cut, and told apart by a digest. Raises
    InputError for an empty name.
    """
    if not user or not isinstance(user, str):
        raise InputError("Enter a user name.")
    parts = (c if _PLAIN.fullmatch(c) else f"_{ord(c):x}_" for c in user)
    written = "".join(parts)
    if len(written) > _DIRECTORY_CHARACTERS_MAX:
        digest = hashlib.sha256(user.encode("utf-8", "surrogatepass")).hexdigest()
        written = f"{written[: _DIRECTORY_CHARACTERS_MAX - 34]}__{digest[:32]}"
    return f"user-{written}"

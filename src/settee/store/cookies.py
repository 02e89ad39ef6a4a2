"""Cookies that peers set, by the domain that they are for and the user that they were set for.

Room: store.
Touches: the `meta` table.
Never touches: sockets, threads, the rules of cookies.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

import orjson

from settee.store.connection import Reader
from settee.store.writer import Writer

__all__ = ["CookieRow", "keep", "kept"]

_PREFIX = "cookies:"

CookieRow: TypeAlias = tuple[str, str, bool, str, bool, float]
"""Name, value, whether for that very host, path, whether for TLS only, and when it ends (seconds
since 1970)."""


def kept(reader: Reader, domain: str, owner: str) -> list[CookieRow]:
    """Return the cookies of a domain that were set for `owner`, a user name or ``""``."""
    rows = _table(reader, domain).get(owner, [])
    return [(str(n), str(v), bool(h), str(p), bool(s), float(e)) for n, v, h, p, s, e in rows]


def keep(writer: Writer, domain: str, owner: str, rows: Iterable[CookieRow]) -> None:
    """Replace the cookies of a domain that were set for `owner`."""
    table = _table(writer, domain)
    table[owner] = list(rows)
    table = {name: cookies for name, cookies in table.items() if cookies}
    key = _PREFIX + domain
    if table:
        writer.run(
            "INSERT INTO meta(name, value) VALUES (?, ?) "
            "ON CONFLICT(name) DO UPDATE SET value = excluded.value",
            (key, orjson.dumps(table)),
        )
    else:
        writer.run("DELETE FROM meta WHERE name = ?", (key,))


def _table(reader: Reader, domain: str) -> dict[str, Sequence[CookieRow]]:
    row = reader.row("SELECT value FROM meta WHERE name = ?", (_PREFIX + domain,))
    if row is None:
        return {}
    table: dict[str, Sequence[CookieRow]] = orjson.loads(row[0])
    return table

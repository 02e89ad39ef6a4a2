"""Certificates that were trusted at the first meeting, by where they were met.

Room: store.
Touches: the `meta` table.
Never touches: sockets, threads, certificates themselves: only their fingerprints.
"""

from __future__ import annotations

from settee.store.connection import Reader
from settee.store.writer import Writer

__all__ = ["forget", "remember", "remembered"]

_PREFIX = "trusted:"


def remembered(reader: Reader, url: str) -> bytes | None:
    """Return the SHA-256 (32 bytes) of the certificate that was met at `url` first, if any was."""
    row = reader.row("SELECT value FROM meta WHERE name = ?", (_PREFIX + url,))
    return None if row is None else bytes(row[0])


def remember(writer: Writer, url: str, fingerprint: bytes) -> None:
    """Keep the certificate met at `url`, unless one is kept already."""
    assert len(fingerprint) == 32, "a SHA-256 has 32 bytes"
    writer.run(
        "INSERT OR IGNORE INTO meta(name, value) VALUES (?, ?)", (_PREFIX + url, fingerprint)
    )


def forget(writer: Writer, url: str) -> None:
    """Forget it: whoever answers at `url` next is trusted."""
    writer.run("DELETE FROM meta WHERE name = ?", (_PREFIX + url,))

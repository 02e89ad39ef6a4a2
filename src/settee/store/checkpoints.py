"""Where replications stopped: our own checkpoints, and those that peers leave with us.

Room: store.
Touches: `checkpoints` and `peer_checkpoints`.
Never touches: sockets, threads, what a checkpoint says.

They lie in the same file as the documents, so that a checkpoint can't outlive the data that it
speaks of. A peer's checkpoint carries a revision, ``1-cc``, ``2-cc``, … (wire protocol 3.3).
"""

from __future__ import annotations

from settee.limits import PEER_CHECKPOINTS_MAX
from settee.store.connection import Reader
from settee.store.writer import Writer

__all__ = ["delete_own", "own", "peer", "save_own", "set_peer"]


def own(reader: Reader, checkpoint_id: str) -> bytes | None:
    """Return the body of one of our own checkpoints, None if there is none."""
    row = reader.row("SELECT body FROM checkpoints WHERE id = ?", (checkpoint_id,))
    return None if row is None else bytes(row[0])


def save_own(writer: Writer, checkpoint_id: str, body: bytes) -> None:
    """Keep one of our own checkpoints."""
    writer.run("INSERT OR REPLACE INTO checkpoints(id, body) VALUES (?, ?)", (checkpoint_id, body))


def delete_own(writer: Writer, checkpoint_id: str) -> None:
    """Forget one of our own checkpoints: the next replication compares everything again."""
    writer.run("DELETE FROM checkpoints WHERE id = ?", (checkpoint_id,))


def peer(reader: Reader, checkpoint_id: str) -> tuple[str, bytes] | None:
    """Return (revision, body) of a peer's checkpoint, None if there is none."""
    sql = "SELECT rev, body FROM peer_checkpoints WHERE id = ?"
    row = reader.row(sql, (checkpoint_id,))
    return None if row is None else (str(row[0]), bytes(row[1]))


def set_peer(writer: Writer, checkpoint_id: str, rev: str, body: bytes) -> str | None:
    """Keep a peer's checkpoint; return its new revision.

    `rev` must be the stored one's revision, "" if none is stored; else nothing is stored and None
    is returned. Beyond `PEER_CHECKPOINTS_MAX` those unused for longest are forgotten.
    """
    row = writer.row("SELECT rev FROM peer_checkpoints WHERE id = ?", (checkpoint_id,))
    stored = "" if row is None else str(row[0])
    if rev != stored:
        return None
    number = int(stored.partition("-")[0]) + 1 if stored else 1
    new_rev = f"{number}-cc"
    writer.run(
        "INSERT INTO peer_checkpoints(id, rev, body, last_used) VALUES (?, ?, ?, ?) "
        "ON CONFLICT(id) DO UPDATE SET rev = excluded.rev, body = excluded.body, "
        "last_used = excluded.last_used",
        (checkpoint_id, new_rev, body, writer.wall_ms()),
    )
    if row is None:
        writer.run(
            "DELETE FROM peer_checkpoints WHERE id IN (SELECT id FROM peer_checkpoints "
            "ORDER BY last_used DESC, rowid DESC LIMIT -1 OFFSET ?)",
            (PEER_CHECKPOINTS_MAX,),
        )
    return new_rev

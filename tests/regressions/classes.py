"""The classes of mistakes that systems of this kind have really made, each with what must hold.

Each has a test of its own, marked ``@pytest.mark.regression("its name")``, next to what it is about
or in this folder. A mistake of ours is a row here if others could make it again.
"""

from __future__ import annotations

from typing import Final

CLASSES: Final[dict[str, str]] = {
    "checkpoint ahead of stored data after abort": (
        "A session that breaks off anywhere leaves a checkpoint that passes nothing unstored."
    ),
    "sequence never marked done": (
        "A revision that was replaced before it was sent doesn't hold the checkpoint up for ever."
    ),
    "death between a revision and its answer": (
        "Broken off again and again just before an answer, a push gets on and ends."
    ),
    "checkpoints that differ": (
        "Where the two copies differ, only what both say counts, and little is compared again."
    ),
    "resume mark outlives the data": (
        "A database that was wiped, restored or cloned is compared from where it really stands."
    ),
    "checkpoint moved by something else than the peer's sequence": (
        "Whatever order revisions finish in, the checkpoint stands before the first unfinished."
    ),
    "count equal to the batch size": (
        "Nothing is missed and nothing loops at the edge of a batch."
    ),
    "ping-pong of deletions": ("Peers in a ring that delete and make alike at once fall silent."),
    "echo of pulled revisions": ("What was pulled is not pushed back, nor announced again."),
    "busy for ever": ("A peer that falls silent anywhere is given up, and never waited for."),
    "newer revision lost behind a conflict": (
        "An edit at any moment of a push arrives, whatever was refused meanwhile."
    ),
    "retries without a pause": ("A peer that can't be reached is tried less and less often."),
    "never connects again": ("A dead connection is noticed, and made anew."),
    "listener used up by the dead": ("Who says nothing gives his place up to who has something."),
    "gone inside the TLS handshake": (
        "A peer that vanishes at any step of it is given up in time."
    ),
    "blobs forgotten by deltas or merges": (
        "After deltas, a merge and compacting, each blob that a document names is there."
    ),
    "blob that is missing, another, or empty": (
        "No document is stored without its blob, and an empty blob is one."
    ),
    "copy cut short": ("A copy is a whole database, or it is not there."),
    "database is locked": ("Compacting, checkpoints and writes from several threads all succeed."),
    "mixed histories refused": ("A vector with names of trees in it is read, kept and written."),
    "clocks apart": ("Documents of a clock that is ahead wait until clocks agree, and arrive."),
    "deleted documents come back": (
        "A deletion holds against whoever was away, whatever was purged meanwhile."
    ),
    "reads go back in time": (
        "While links break, no reader sees an older state after a newer one."
    ),
    "link left open by a bug": ("An exception in a handler ends the link, and is told."),
}

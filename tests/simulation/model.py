"""The reference model: what was written, on top of what, and which states may follow.

Plain dicts and sets; nothing of settee. Every write appends a token of its own to the list that it
read, so a body tells its whole past: a list that is part of an older one has gone back, and a token
of a life that was ended by a deletion must not be seen again after it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

__all__ = ["Model", "Seen", "Write"]

Key = tuple[str, str]
"""Collection and document."""


class Seen(NamedTuple):
    """A document as a peer has it."""

    deleted: bool
    log: frozenset[str]
    """The tokens of its body; empty for a tombstone."""
    name: str
    """The current version: what tells one tombstone from another."""
    image: str
    """The token of the write that put its blob there; empty without a blob."""


@dataclass(slots=True)
class Write:
    """One write of an application."""

    token: str
    peer: str
    key: Key
    log: frozenset[str]
    """Its own token and those that it read; of a deletion those that it ended."""
    over: str
    """The tombstone that it was made on; empty if on a body or on nothing."""
    deletes: bool
    name: str = ""
    """The version that it became; empty while it is not known to be stored."""
    acked: bool = False


@dataclass
class Model:
    """All writes, and what each peer has shown last."""

    writes: dict[str, Write] = field(default_factory=dict)
    killed: dict[str, frozenset[str]] = field(default_factory=dict)
    """Tombstone -> tokens that it ended."""
    mine: dict[str, dict[str, Write]] = field(default_factory=dict)
    """Peer -> its writes that returned, since its database last began anew."""
    seen: dict[str, dict[Key, Seen]] = field(default_factory=dict)
    images: dict[str, bytes] = field(default_factory=dict)
    """Token -> the blob that it stored."""
    joins_roots: bool = False
    """Whether there are resolvers, or peers of trees: a document made anew takes the place of a
    tombstone that its peer has never seen (wire protocol 3.6), and so does what is merged with it,
    or wins over it."""
    loses_names: bool = False
    """Whether there are revision trees without vectors, too (level 2): of two branches that were
    joined the history names one, and the first revision of the other looks like a document made
    anew."""
    loses_roots: bool = False
    """Whether peers speak of trees, at level 3 too: that first revision may come back by itself."""
    put_back: set[str] = field(default_factory=set)
    """Peers whose database was put back in time, and kept its name as an author."""
    mortal: set[Key] = field(default_factory=set)
    """Documents that were deleted or purged anywhere."""
    forgotten: set[str] = field(default_factory=set)
    """Tokens of peers that lost their database."""
    _count: int = 0

    # --- writing ----------------------------------------------------------------------------------

    def begin(self, peer: str, key: Key, read: Seen | None, *, deletes: bool) -> Write:
        """Note a write that is about to be made on top of what was read."""
        self._count += 1
        token = f"{self._count:05}.{peer}"
        over = read.name if read is not None and read.deleted else ""
        log = frozenset() if read is None or read.deleted else read.log
        if not deletes:
            log |= {token}
        else:
            self.mortal.add(key)
        if peer in self.put_back:  # It may count as coming after what that peer wrote before.
            self.mortal.add(key)
        write = Write(token, peer, key, log, over, deletes)
        self.writes[token] = write
        return write

    def acknowledge(self, write: Write, name: str) -> None:
        """The write returned, and became this version."""
        write.acked, write.name = True, name
        self.mine.setdefault(write.peer, {})[write.token] = write
        if write.deletes:
            self.killed[name] = write.log

    def forget(self, peer: str, *, entirely: bool) -> None:
        """The peer's database was put back in time, or is a new one."""
        lost = self.mine.pop(peer, {})
        self.forgotten |= lost.keys()
        self.seen.pop(peer, None)
        if entirely:
            self.mine[peer] = {}

    # --- judging ----------------------------------------------------------------------------------

    def follows(self, key: Key, old: Seen | None, new: Seen | None) -> tuple[str, str] | None:
        """Return which invariant is broken if `new` follows on `old` at one peer, and how."""
        if old is None or new is None:
            return None
        if old.deleted and not new.deleted:
            killed = self.killed.get(old.name, frozenset())
            again = killed & new.log
            # Written again by somebody, it may have lost to a write that knew of no deletion.
            written_again = any(write.over == old.name for write in self.writes.values())
            merged = self.loses_names or (self.joins_roots and new.log - killed)
            reborn = self.loses_roots and all(self.writes[t].log == {t} for t in again)
            excused = written_again or merged or reborn or self._was_put_back(old.name)
            if again and not excused:
                return "I3", f"{key} came back after its deletion with {sorted(again)[:3]}"
        is_back = not old.deleted and not new.deleted and new.log < old.log
        if is_back and not self._minted_later(old.name, new.name):
            gone = sorted(old.log - new.log)
            return "I8", f"{key} went back: it lost {gone[:4]}"
        return None

    def _minted_later(self, old: str, new: str) -> bool:
        """Whether a rule made `new` out of two branches, by a clock that stood later than `old`.

        It has no token of its own, and wins over an edit that it never saw, as any later one does.
        """
        times = [int(name.partition("@")[0], 16) for name in (old, new)]
        return times[0] < times[1] and all(write.name != new for write in self.writes.values())

    def _was_put_back(self, tombstone: str) -> bool:
        """Whether the peer that made it was put back before it: what it writes next stands above.

        It goes by the same name as before, and its clock went on.
        """
        return any(
            write.deletes and write.name == tombstone and write.token in self.forgotten
            for write in self.writes.values()
        )

    def lost_by(self, peer: str, final: dict[Key, Seen], *, merges: bool) -> str | None:
        """Return which write of a peer its own final state can't have come after, if any.

        `merges`: every conflict was merged, so that no token may be missing from a body.
        """
        for write in self.mine.get(peer, {}).values():
            if write.key[1].startswith("local::"):
                continue  # It may have been purged, and come back as somebody else still had it.
            state = final.get(write.key)
            if state is None:
                return f"{write.key} is gone, though {write.token} wrote it"
            if write.deletes:
                if not state.deleted and state.log and state.log <= write.log:
                    return f"{write.key} lives as before its deletion by {write.token}"
                continue
            if state.deleted:
                if write.over and write.over == state.name:
                    return f"{write.key} is deleted as before {write.token} wrote it again"
            elif state.log < write.log and not self._minted_later(write.name, state.name):
                return f"{write.key} is as before {write.token}: it has {sorted(state.log)[-2:]}"
            elif merges and write.key not in self.mortal and write.token not in state.log:
                return f"{write.key} lacks {write.token}, though all conflicts were merged"
        return None

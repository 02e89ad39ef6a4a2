"""One document as Couchbase Lite 3.1 keeps it: a tree of revisions.

The engine's own rules, as far as replication shows them: which leaf is current, what is inserted
and what refused, what a history must look like, how deep a tree may grow, what happens when a
remote changes to another branch, and the default answer to a conflict.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from settee.doc.revision import digest, filler, generation, tree_name_of

ANCESTORS_LISTED_MAX = 10
TOMBSTONE = b"{}"


class BadRevisionIdError(Exception):
    """A history whose generations are not what the engine insists on (LiteCore 4)."""


class ConflictRefusedError(Exception):
    """A revision that would make a conflict where none is allowed (409)."""


@dataclass(slots=True, eq=False)
class Revision:
    tid: str
    parent: Revision | None
    body: bytes | None
    """None: only its name is known, or its body was dropped."""
    deleted: bool = False
    leaf: bool = True
    conflict: bool = False
    """On a remote's branch that was not resolved yet."""
    closed: bool = False
    """A tombstone that ends the losing branch of a resolved conflict."""

    @property
    def lineage(self) -> Iterator[Revision]:
        """Itself, its parent, and so on."""
        revision: Revision | None = self
        while revision is not None:
            yield revision
            revision = revision.parent

    def descends_from(self, other: Revision) -> bool:
        """Whether `other` is an ancestor of it, or itself."""
        return any(one is other for one in self.lineage)

    @property
    def order(self) -> tuple[bool, bool, bool, int, str]:
        """The greatest leaf is the current revision."""
        height, text = generation(self.tid), digest(self.tid)
        return not self.conflict, not self.deleted, not self.closed, height, text


@dataclass(slots=True)
class TreeDocument:
    """A document of one peer."""

    depth: int
    """Generations kept below a leaf: 20 up to Couchbase Lite 3.0, then 50."""
    revisions: dict[str, Revision] = field(default_factory=dict)
    remotes: dict[str, str] = field(default_factory=dict)
    """By remote: the revision last known to be current there."""

    # --- what is there --------------------------------------------------------------------------

    @property
    def leaves(self) -> list[Revision]:
        return [revision for revision in self.revisions.values() if revision.leaf]

    @property
    def current(self) -> Revision | None:
        current = max(self.leaves, key=lambda leaf: leaf.order, default=None)
        if current is not None and current.conflict:  # No other branch is left: it has won.
            _not_in_conflict(current)
        return current

    @property
    def in_conflict(self) -> bool:
        return any(leaf.conflict for leaf in self.leaves)

    # --- what an application does ---------------------------------------------------------------

    def save(self, body: bytes, deleted: bool, tid: str | None = None) -> bool:
        """Save or delete; false if that very revision is there already, on a dead branch.

        `tid`: its name, if a recording tells it.
        """
        parent = self.current
        made = tid or tree_name_of("" if parent is None else parent.tid, deleted, body)
        if made in self.revisions:
            return False
        self._add(made, body, parent, deleted)
        self._prune()
        return True

    # --- what a remote offers -------------------------------------------------------------------

    def find(self, tid: str, remote: str, *, bodies_only: bool) -> list[str] | None:
        """Answer a row of `changes`: the ancestors held if it is wanted, None if not."""
        current, known = self.current, self.revisions.get(tid)
        if current is None:
            return []
        if known is not None and (current.descends_from(known) or known.body is not None):
            self.remotes[remote] = tid
            return None
        shown = set(self.remotes.values())
        held = [
            revision
            for revision in self.revisions.values()
            if generation(revision.tid) < generation(tid)
            and (not bodies_only or revision.leaf or revision.tid in shown)
        ]
        held.sort(key=lambda revision: (revision.leaf, *revision.order), reverse=True)
        return [revision.tid for revision in held[:ANCESTORS_LISTED_MAX]]

    def answer_proposal(self, tid: str, parent: str) -> tuple[int, str]:
        """Answer a row of `proposeChanges`: the status, and the current revision for a 409."""
        current = self.current
        mine = "" if current is None else current.tid
        if mine == tid:
            return 304, mine
        if mine == parent or (not parent and (current is None or current.deleted)):
            return 0, mine
        return 409, mine

    # --- what comes -----------------------------------------------------------------------------

    def take_pushed(self, tid: str, history: Sequence[str], body: bytes, deleted: bool) -> bool:
        """Insert what an active peer sent; tell whether it is new. Conflicts are refused."""
        inserted = self._insert([tid, *history], body, deleted, from_remote=False)
        self._prune()
        return inserted

    def take_pulled(
        self, tid: str, history: Sequence[str], body: bytes, deleted: bool, remote: str
    ) -> bool:
        """Insert what was pulled, as a branch of its own if need be; tell whether it is new."""
        prior, before = self.current, self.revisions.get(self.remotes.get(remote, ""))
        inserted = self._insert([tid, *history], body, deleted, from_remote=True)
        new = self.revisions[tid]
        if before is not None and not new.descends_from(before):
            if before.descends_from(new):
                return inserted
            self._remote_switched_branches(before, new, prior)
        self.remotes[remote] = tid
        self._prune()
        return inserted

    def _remote_switched_branches(
        self, before: Revision, new: Revision, prior: Revision | None
    ) -> None:
        if not new.conflict:
            return
        if before.conflict:
            self._purge_branch(before)
        elif before is prior:  # Nothing of ours stands on it: the new branch is simply newer.
            _not_in_conflict(new)
            self._purge_branch(before)

    def _insert(
        self, names: Sequence[str], body: bytes, deleted: bool, *, from_remote: bool
    ) -> bool:
        known, parent = self._common_ancestor(names)
        makes_branch = bool(self.revisions) if parent is None else not parent.leaf
        if known and makes_branch and not from_remote:
            raise ConflictRefusedError
        if known == 0:
            return False
        for ancestor in reversed(names[1:known]):
            parent = self._add(ancestor, None, parent, False, mark=from_remote)
        self._add(names[0], body, parent, deleted, mark=from_remote)
        return True

    def _common_ancestor(self, names: Sequence[str]) -> tuple[int, Revision | None]:
        """Return the place of the first name that is known, and its revision."""
        above = 0
        for place, tid in enumerate(names):
            height = generation(tid)
            pruned = height < above and place >= self.depth - 1
            if above and height != above - 1 and not pruned:
                raise BadRevisionIdError(f"{height} follows {above} in {','.join(names)}")
            above = height
            if tid in self.revisions:
                return place, self.revisions[tid]
        return len(names), None

    def _add(
        self,
        tid: str,
        body: bytes | None,
        parent: Revision | None,
        deleted: bool,
        *,
        mark: bool = False,
    ) -> Revision:
        revision = Revision(tid, parent, body, deleted)
        if parent is not None:
            revision.conflict = mark and (not parent.leaf or parent.conflict)
            parent.leaf = False
        else:
            revision.conflict = mark and bool(self.revisions)
        self.revisions[tid] = revision
        return revision

    # --- conflicts ------------------------------------------------------------------------------

    def conflicting(self, tid: str) -> Revision | None:
        """Return a pulled revision if it is in conflict, still, with another branch."""
        theirs = self.revisions.get(tid)
        if theirs is None or not theirs.conflict or not theirs.leaf:
            return None
        return theirs if any(not leaf.conflict for leaf in self.leaves) else None

    def resolve(self, theirs: Revision) -> None:
        """Resolve by the default rule: deletion wins, then the generation, then the digest.

        Whatever wins, the remote's branch stays; a local winner becomes a child of it.
        """
        mine = self.current
        assert mine is not None
        assert mine is not theirs
        wins = not theirs.deleted and (mine.deleted or mine.order > theirs.order)
        if not theirs.deleted and not mine.deleted:
            key = [(generation(one.tid), digest(one.tid)) for one in (mine, theirs)]
            wins = key[0] > key[1]
        _not_in_conflict(theirs)
        if mine.tid in self.remotes.values():
            end = tree_name_of(mine.tid, True, b'"closed"')
            self._add(end, None, mine, True).closed = True
        else:
            self._purge_branch(mine)
        if wins:
            body = mine.body or TOMBSTONE
            made = tree_name_of(theirs.tid, mine.deleted, body)
            if made not in self.revisions:
                self._add(made, body, theirs, mine.deleted)
        self._prune()

    def _purge_branch(self, leaf: Revision) -> None:
        """Forget a leaf, and its ancestors as far as nothing else stands on them."""
        revision: Revision | None = leaf
        while revision is not None and revision.leaf:
            parent = revision.parent
            del self.revisions[revision.tid]
            self.remotes = {r: tid for r, tid in self.remotes.items() if tid != revision.tid}
            if parent is None or any(one.parent is parent for one in self.revisions.values()):
                return
            parent.leaf = True
            revision = parent

    # --- what is sent ---------------------------------------------------------------------------

    def history(self, revision: Revision, held: Sequence[str], names_max: int) -> list[str]:
        """Return the ancestors to send, newest first, down to one that the receiver has."""
        names: list[str] = []
        height = generation(revision.tid)
        lineage = iter(revision.lineage)
        next(lineage)
        for ancestor in lineage:
            height -= 1
            while generation(ancestor.tid) < height and len(names) < names_max:
                names.append(filler(height, revision.tid))
                height -= 1
            height = generation(ancestor.tid)
            if ancestor.tid in held:
                return [*names[: names_max - 1], ancestor.tid]
            if len(names) < names_max:
                names.append(ancestor.tid)
        return names

    # --- upkeep ---------------------------------------------------------------------------------

    def _prune(self) -> None:
        kept = {tid for tid in self.remotes.values() if tid in self.revisions}
        for leaf in self.leaves:
            kept.update(one.tid for one, _ in zip(leaf.lineage, range(self.depth), strict=False))
        if len(kept) == len(self.revisions):
            return
        self.revisions = {tid: one for tid, one in self.revisions.items() if tid in kept}
        for one in self.revisions.values():
            while one.parent is not None and one.parent.tid not in self.revisions:
                one.parent = one.parent.parent


def _not_in_conflict(leaf: Revision) -> None:
    for revision in leaf.lineage:
        revision.conflict = False

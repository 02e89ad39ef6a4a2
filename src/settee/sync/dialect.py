"""How revisions are named on one connection: one dialect for each family of peers.

Room: pure protocol.
Touches: settee.doc, settee.sync.
Never touches: sockets, files, the wall clock, randomness.
Spec: docs/architecture.md, "Names of revisions"; wire protocol 1.3, 5A, 5B, 5C.

Inside settee a revision goes by its tree name. A peer of the tree family (levels 2 and 3) hears
that name; a peer of the vector family (level 4) hears the version that it stands for. Whatever
depends on the family is asked here, so that pushers and pullers know only one kind of name.
"""

from __future__ import annotations

import enum
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar, Final, NamedTuple

from settee.doc.conflict import Relation, State
from settee.doc.records import Held, RevisionIn, RevisionOut
from settee.sync.messages import AnnouncedRow, ProposedRow

__all__ = ["TREES", "VECTORS", "Dialect", "Ground", "Heard", "Verdict"]

TREES: Final = 3
VECTORS: Final = 4
"""The newest level of either family (wire protocol 1.3)."""


class Heard(NamedTuple):
    """The names under which a revision came."""

    tid: str
    """Its tree name, "" if the peer told only a version."""
    history: str
    """Tree names of its ancestors, newest first, comma-separated."""
    vector: str
    """Its version vector, "" if the peer told only tree names."""


class Verdict(enum.Enum):
    """What can be done with a revision that a peer asked for."""

    SEND = "send"
    LIFT = "lift"
    """Its name stands too low: all that the peer must be told does not fit above the base."""
    HELD = "held"
    """The peer has it, under another name, or has something that descends from it."""


class Ground(NamedTuple):
    """What a revision is sent on top of."""

    verdict: Verdict
    base: str | None
    """A revision that the peer has and that is the same or an ancestor; None: none is known."""


_FREE: Final = Ground(Verdict.SEND, None)


class Dialect(ABC):
    """The names of one family of peers."""

    versioning: ClassVar[str]
    """What `subChanges` calls it (wire protocol 3.4)."""

    is_extended: bool = False
    """Whether the peer is a settee peer: both families' names travel, and both sides resolve."""

    learns: bool = False
    """Whether the peer's names of what is here are worth to be learnt: their heights count."""

    # --- names ------------------------------------------------------------------------------------

    @abstractmethod
    def name(self, tid: str) -> str:
        """Return what the peer calls a revision of ours; "" stays ""."""

    @abstractmethod
    def tid_of(self, text: str) -> str | None:
        """Return a tree name for what the peer named, to compare and look up by; None: malformed.

        Where only a version is known the generation is 1: compare such names by their versions.
        """

    @abstractmethod
    def row_end(self, tid: str) -> list[object]:
        """Return what follows the size in a row that offers a revision of ours."""

    @abstractmethod
    def reply_properties(self) -> dict[str, str]:
        """Return what a reply to offers says of the names that we take."""

    # --- revisions --------------------------------------------------------------------------------

    @abstractmethod
    def heard(self, properties: Mapping[str, str]) -> Heard | None:
        """Read the names in the properties of a `rev`; None if they are malformed."""

    def ground(self, revision: RevisionOut, bases: Sequence[str]) -> Ground:
        """Tell on top of what a revision goes to a peer that has `bases`, best first."""
        return _FREE

    @abstractmethod
    def said(
        self,
        revision: RevisionOut,
        bases: Sequence[str],
        ground: Ground,
        history_max: int,
        *,
        retold: bool,
    ) -> dict[str, str]:
        """Return the names that go into a `rev`.

        `bases`: revisions that the peer has, best first. `ground`: what was said of them.
        `history_max`: ancestors that it wants. `retold`: tell the ancestry in the other way there
        is, since the peer saw a conflict in the usual one or is known to need it.
        """

    @abstractmethod
    def is_as_given(self, tid: str, given: RevisionIn) -> bool:
        """Tell whether a revision that was stored as `tid` is known to its sender as such."""

    # --- decisions --------------------------------------------------------------------------------

    @abstractmethod
    def answer(self, row: AnnouncedRow, mine: Held | None, *, refuses: bool) -> tuple[object, str]:
        """Answer a row of `changes`: what to say, and the name of what the peer has ("": unsaid).

        `refuses`: whether conflicts are refused. Raises PeerProtocolError for a malformed name.
        """

    @abstractmethod
    def status(self, row: ProposedRow, mine: Held | None, *, refuses: bool) -> tuple[int, str]:
        """Answer a row of `proposeChanges`: the status, and for 409 what is current here."""

    @abstractmethod
    def relation(self, state: State, text: str) -> Relation:
        """Tell what a revision that a 409 names is to ours: SAME, OLD or UNKNOWN."""

"""What a replay has to know of revisions' names: those of trees, and versions with their vectors.

To the replay a revision has a *name*, under which `rev` carries it, and *ancestors*, the names that
come with it, newest first: in a tree all that went before, in a vector the newest version of each
other author. Everything else that differs between the two families is asked here.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import ClassVar, Final, NamedTuple

from settee.doc.records import Held, RevisionOut
from settee.doc.revision import generation, version_text_of
from settee.doc.version import order_key, parse_vector, parse_version

__all__ = ["TREE_NAMES", "VERSIONS", "Named", "Names", "source_of"]


class Named(NamedTuple):
    """A revision by its name and the names of what it descends from, newest first."""

    name: str
    ancestors: tuple[str, ...]


class Names(ABC):
    """The names of one family."""

    versioning: ClassVar[str]
    """What `subChanges` calls them."""
    reply_properties: ClassVar[dict[str, str]]
    """What a reply to offers says of them."""

    @abstractmethod
    def name_in(self, text: str) -> str:
        """Return the name of a revision that a row tells of, perhaps with its ancestors."""

    @abstractmethod
    def ancestors_in(self, history: str) -> tuple[str, ...]:
        """Read the property `history`."""

    @abstractmethod
    def edited(self, name: str, before: Named | None) -> Named:
        """Return a revision that was made over another (None: of a new document)."""

    @abstractmethod
    def taken(self, revision: Named, before: Named | None) -> Named:
        """Return a revision as an end knows it that has taken it over what was there before."""

    @abstractmethod
    def contains(self, revision: Named, name: str) -> bool:
        """Tell whether a revision is the one of this name, or descends from it."""

    @abstractmethod
    def may_be_first(self, name: str) -> bool:
        """Tell whether a revision of this name may be the first of its document."""

    @abstractmethod
    def stands(self, names: Iterable[str]) -> str:
        """Return the one that the engine's default rule would choose, none being a deletion."""

    @abstractmethod
    def text(self, revision: Named) -> str:
        """Return how a refusal calls the current revision."""

    # --- settee's records -------------------------------------------------------------------------

    @abstractmethod
    def of(self, record: Held | RevisionOut) -> Named:
        """Return what settee holds of a document as this family would name it."""

    @abstractmethod
    def given(self, revision: Named) -> tuple[str, str, str]:
        """Return the names for a `RevisionIn`: `tid`, `history` and `vector`."""

    @abstractmethod
    def holds(self, held: Held, name: str) -> bool:
        """Tell whether settee knows a revision as what it has, or as an ancestor of that."""


class _TreeNames(Names):
    versioning: ClassVar[str] = "rev-trees"
    reply_properties: ClassVar[dict[str, str]] = {"maxHistory": "50"}

    def name_in(self, text: str) -> str:
        return text

    def ancestors_in(self, history: str) -> tuple[str, ...]:
        return _split(history)

    def edited(self, name: str, before: Named | None) -> Named:
        return Named(name, () if before is None else (before.name, *before.ancestors))

    def taken(self, revision: Named, before: Named | None) -> Named:
        name, told = revision
        older = () if before is None else (before.name, *before.ancestors)
        below = older[older.index(told[-1]) + 1 :] if told and told[-1] in older else ()
        return Named(name, (*told, *below))

    def contains(self, revision: Named, name: str) -> bool:
        return name == revision.name or name in revision.ancestors

    def may_be_first(self, name: str) -> bool:
        return name.startswith("1-")

    def stands(self, names: Iterable[str]) -> str:
        return max(names, key=lambda name: (generation(name), name))

    def text(self, revision: Named) -> str:
        return revision.name

    def of(self, record: Held | RevisionOut) -> Named:
        return Named(record.tid, _split(record.history))

    def given(self, revision: Named) -> tuple[str, str, str]:
        return revision.name, ",".join(revision.ancestors), ""

    def holds(self, held: Held, name: str) -> bool:
        return name in (held.tid, *_split(held.aka), *_split(held.history))


class _Versions(Names):
    versioning: ClassVar[str] = "version-vectors"
    reply_properties: ClassVar[dict[str, str]] = {"sendReplacementRevs": "1"}

    def name_in(self, text: str) -> str:
        return re.split("[,;]", text, maxsplit=1)[0]

    def ancestors_in(self, history: str) -> tuple[str, ...]:
        return _split(history)

    def edited(self, name: str, before: Named | None) -> Named:
        older = () if before is None else (before.name, *before.ancestors)
        return Named(name, tuple(v for v in older if source_of(v) != source_of(name)))

    def taken(self, revision: Named, before: Named | None) -> Named:
        return revision  # A vector is told whole.

    def contains(self, revision: Named, name: str) -> bool:
        time, source = parse_version(name)
        versions = map(parse_version, (revision.name, *revision.ancestors))
        return any(v.source == source and v.time >= time for v in versions)

    def may_be_first(self, name: str) -> bool:
        return True  # A version does not tell.

    def stands(self, names: Iterable[str]) -> str:
        return max(names, key=_age)

    def text(self, revision: Named) -> str:
        return "; ".join(filter(None, (revision.name, ", ".join(revision.ancestors))))

    def of(self, record: Held | RevisionOut) -> Named:
        vector = parse_vector(record.vector)
        assert version_text_of(record.tid) == self.name_in(record.vector), record
        assert not vector.mv, f"no recorded peer has merged: {record}"
        name, *ancestors = _split(record.vector)
        return Named(name, tuple(ancestors))

    def given(self, revision: Named) -> tuple[str, str, str]:
        return "", "", self.text(revision)

    def holds(self, held: Held, name: str) -> bool:
        return self.contains(self.of(held), name)


TREE_NAMES: Final[Names] = _TreeNames()
VERSIONS: Final[Names] = _Versions()


def source_of(version: str) -> str:
    """Return the author of a version."""
    return version.partition("@")[2]


def _split(text: str) -> tuple[str, ...]:
    return tuple(name for item in re.split("[,;]", text) if (name := item.strip()))


def _age(version: str) -> tuple[int, str]:
    return order_key(parse_version(version))

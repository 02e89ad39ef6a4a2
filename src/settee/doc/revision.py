"""Tree names: what a revision is called on a connection that speaks revision trees.

Room: pure document.
Touches: text.
Never touches: sockets, files, the wall clock, randomness.

A tree name is ``generation-digest`` (wire protocol 5A.1). Three kinds exist:

* *native*: made by a peer of the tree world; its version is its encoding (5C);
* *derived*: made by a settee peer for a version that was born as one. The digest is the version:
  ``g-ff<time><source>`` (25 bytes), so that any settee peer that meets the name, even carried by a
  stranger, reads the exact version back. ``g-fe<time><source><salt>`` (27 bytes) is a step: an
  ancestor mentioned only in a history;
* *filler*: ``g-faded000…``: says nothing, keeps a history without holes. Couchbase Lite writes
  such names itself.

Names are plain text here: they travel as text, are stored as text and are compared as text.
"""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from settee.doc.version import (
    RTE,
    TIME_MAX,
    TIME_MIN,
    Version,
    encode_tree,
    parse_version,
    source_hex,
    source_text,
)
from settee.errors import InvalidDocumentError
from settee.limits import HISTORY_NAMES_RECEIVED_MAX

__all__ = [
    "GENERATION_MAX",
    "GENERATION_NATIVE_RECEIVED_MAX",
    "GENERATION_RECEIVED_MAX",
    "check_history",
    "digest",
    "everyday_version",
    "filler",
    "first_name",
    "generation",
    "is_acceptable",
    "is_derived",
    "is_filler",
    "is_native",
    "is_tree_name",
    "name",
    "step",
    "tree_name_of",
    "version_of",
    "version_text_of",
]

GENERATION_MAX: Final = 2**32 - 1
"""The greatest generation that can be written at all."""

GENERATION_RECEIVED_MAX: Final = 2**31
"""A greater one from a peer is refused: the document could soon not be edited any more."""

GENERATION_NATIVE_RECEIVED_MAX: Final = 2**20
"""The same for native names: their generation is the time of a version, which must not overtake
the clock (generation 1,630,000 would stand for today)."""

JUMP_NAMES_MIN: Final = 18
"""A history may jump over generations after this many names: a tree is pruned at 20 or 50, and a
common ancestor further down is sent as the last name all the same."""

_NAME: Final = re.compile(r"([1-9][0-9]{0,9})-([0-9a-f]{2,82})\Z")
_EVERYDAY_NAME: Final = re.compile(r"[1-9][0-9]{0,5}-ff([0-9a-f]{16})([0-9a-f]{32})\Z")
"""What nearly all are: derived, and of a generation below every bound."""
_BINARY_BYTES_MAX: Final = 42
_NOBODY_HEX: Final = "0" * 32
_RTE_HEX: Final = source_hex(RTE)
_EVERYDAY_DIGITS_END: Final = len(str(GENERATION_NATIVE_RECEIVED_MAX))
"""A generation with fewer digits is below every bound."""
_TIME_HEX_MIN: Final = f"{TIME_MIN:016x}"
_TIME_HEX_END: Final = f"{TIME_MAX + 1:016x}"


# --- parts --------------------------------------------------------------------------------------


def is_tree_name(text: str) -> bool:
    """Tell whether `text` is a tree name by Couchbase Lite's rules.

    Generation 1 to 4294967295 without sign or leading zeros, an even number of lower-case hex
    digits, and at most 42 bytes in binary form.
    """
    match = _NAME.match(text)
    if match is None or match.end(2) - match.start(2) & 1:
        return False
    if len(text) <= 76:  # Nine digits of generation and 66 of digest fit in any case.
        return match.end(1) < 10 or int(match[1]) <= GENERATION_MAX
    height = int(match[1])
    varint_bytes = max(1, (height.bit_length() + 6) // 7)
    return height <= GENERATION_MAX and varint_bytes + len(match[2]) // 2 <= _BINARY_BYTES_MAX


def generation(tid: str) -> int:
    """Return the generation of a tree name. The name must be well-formed."""
    return int(tid[: tid.index("-")])


def digest(tid: str) -> str:
    """Return the digest of a tree name, lower-case hex. The name must be well-formed."""
    return tid[tid.index("-") + 1 :]


def is_filler(tid: str) -> bool:
    """Tell whether a name only fills a gap in a history."""
    return tid.startswith("faded", tid.index("-") + 1)


def is_derived(tid: str) -> bool:
    """Tell whether a name carries its version in its digest."""
    return _embedded(tid[tid.index("-") + 1 :]) is not None


def is_native(tid: str) -> bool:
    """Tell whether a name was made by a peer of the tree world."""
    text = tid[tid.index("-") + 1 :]
    return not text.startswith("faded") and _embedded(text) is None


def _embedded(text: str) -> Version | None:
    """Return the version in a digest, None if it carries none."""
    size = len(text)
    if not ((size == 50 and text[:2] == "ff") or (size == 54 and text[:2] == "fe")):
        return None
    author = text[18:50]
    if not _TIME_HEX_MIN <= text[2:18] < _TIME_HEX_END or author == _NOBODY_HEX:
        return None
    return Version(int(text[2:18], 16), source_text(author))


# --- versions of names, names of versions -------------------------------------------------------


@lru_cache(maxsize=8192)
def version_of(tid: str) -> Version:
    """Return the version that a tree name stands for: the one in its digest, else its encoding.

    Raises InvalidDocumentError if `tid` can't be a tree name.
    """
    version = _embedded(tid[tid.find("-") + 1 :])
    return encode_tree(tid) if version is None else version


def version_text_of(tid: str) -> str:
    """Return `version_of` as the wire writes it: the vector of a new document with this name."""
    dash = tid.find("-")
    if len(tid) - dash == 51 and tid.startswith("ff", dash + 1):
        time_hex = tid[dash + 3 : dash + 19]
        author = tid[dash + 19 :]
        if _TIME_HEX_MIN <= time_hex < _TIME_HEX_END and author != _NOBODY_HEX:
            return f"{time_hex.lstrip('0')}@{source_text(author)}"
    time, source = version_of(tid)
    return f"{time:x}@{source}"


def everyday_version(text: str) -> str:
    """Return `version_text_of` a name that is acceptable, and such as nearly all are.

    "" says: look closely, by `is_tree_name` or `is_acceptable`.
    """
    match = _EVERYDAY_NAME.match(text)
    if match is None:
        return ""
    time_hex, author = match.groups()
    if not _TIME_HEX_MIN <= time_hex < _TIME_HEX_END or author in (_NOBODY_HEX, _RTE_HEX):
        return ""
    return f"{time_hex.lstrip('0')}@{source_text(author)}"


def name(height: int, version: Version) -> str:
    """Return the derived name of `version` at generation `height`."""
    return f"{height}-ff{version.time:016x}{source_hex(version.source)}"


def first_name(vector: str) -> str:
    """Return the name of a document's first revision, told by its vector; "" if it is another.

    That is a single version that a clock wrote.
    """
    time_hex, _, author = vector.partition("@")
    if len(author) != 22 or author == RTE or len(time_hex) > 16:
        return ""
    try:
        version = parse_version(vector)
    except InvalidDocumentError:
        return ""
    return name(1, version) if TIME_MIN <= version.time <= TIME_MAX else ""


def step(height: int, version: Version, tid: str) -> str:
    """Return a name for `version` as an ancestor of `tid` that no peer can have seen before."""
    return f"{height}-fe{version.time:016x}{source_hex(version.source)}{_salt(height, tid)[:4]}"


def filler(height: int, tid: str) -> str:
    """Return the name that fills generation `height` in the history of `tid`."""
    return f"{height}-faded000{_salt(height, tid)[:16]}"


def _salt(height: int, tid: str) -> str:
    return hashlib.sha1(f"{height},{tid}".encode(), usedforsecurity=False).hexdigest()


def tree_name_of(parent: str, deleted: bool, canonical_body: bytes) -> str:
    """Return the name that Couchbase Lite 3.3 gives an edit (wire protocol 5A.2).

    `parent`: the tree name edited, "" for a new document. `canonical_body`: see `body.canonical`.
    """
    ancestor = parent.encode("ascii")
    content = b"%c%b%c%b" % (len(ancestor), ancestor, deleted, canonical_body)
    height = generation(parent) + 1 if parent else 1
    return f"{height}-{hashlib.sha1(content, usedforsecurity=False).hexdigest()}"


# --- what a peer may send -----------------------------------------------------------------------


def is_acceptable(tid: str) -> bool:
    """Tell whether `tid` is a tree name that a document may take from a peer.

    Well-formed, and neither its generation nor a tree encoding within it so high that the document
    could not go on living with it. Times are for `HybridClock.observe` to judge.
    """
    if not is_tree_name(tid):
        return False
    if _RTE_HEX not in tid and tid.find("-") < _EVERYDAY_DIGITS_END:
        return True
    height = generation(tid)
    version = _embedded(digest(tid))
    if version is not None and version.source == RTE:
        birth = version.time >> 40
    else:
        birth = height if is_native(tid) else 1
    return height <= GENERATION_RECEIVED_MAX and birth <= GENERATION_NATIVE_RECEIVED_MAX


def check_history(tid: str, history: Sequence[str], *, contiguous: bool = True) -> bool:
    """Tell whether a name and its ancestors, newest first, can be what they claim (5A.3).

    All names must be acceptable, at most `HISTORY_NAMES_RECEIVED_MAX`, and their generations
    descend by one; by more only where a tree may have been pruned. With ``contiguous=False`` (the
    vector came, too) they need only lie below `tid` and not rise, and no name may come twice; then
    `tid` may be empty.
    """
    if not tid:
        tid = f"{GENERATION_RECEIVED_MAX}-ff"
    elif not is_acceptable(tid):
        return False
    if not history:
        return True
    if len(history) > HISTORY_NAMES_RECEIVED_MAX or not all(map(is_acceptable, history)):
        return False
    heights = [generation(tid), *map(generation, history)]
    if not contiguous:
        return (
            heights[1] < heights[0]
            and all(a >= b for a, b in itertools.pairwise(heights))
            and len(set(history)) == len(history)
        )
    return all(
        below == above - 1 or (below < above and place >= JUMP_NAMES_MIN)
        for place, (above, below) in enumerate(itertools.pairwise(heights))
    )

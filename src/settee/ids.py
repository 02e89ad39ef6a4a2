"""Names: what may be called a document, a collection, a database, a blob.

Names from outside are checked here once and never used as a path, SQL text or log line raw.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from settee.errors import InvalidNameError
from settee.limits import DOCUMENT_ID_BYTES_MAX

__all__ = [
    "DEFAULT_COLLECTION",
    "DEFAULT_SCOPE",
    "CollectionName",
    "are_plain_document_ids",
    "check_database_name",
    "check_document_id",
    "digest_bytes",
    "digest_text",
    "is_document_id",
]

DEFAULT_SCOPE: Final = "_default"
DEFAULT_COLLECTION: Final = "_default"

_NAME: Final = re.compile(r"[A-Za-z0-9-][A-Za-z0-9_%-]{0,250}\Z")
_DATABASE: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,127}\Z")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


class CollectionName(NamedTuple):
    """A collection and the scope that it lies in; both are ``_default`` unless named."""

    scope: str
    name: str

    def __str__(self) -> str:
        return self.path

    @property
    def path(self) -> str:
        """As it is written: ``name`` in the default scope, else ``scope.name``."""
        return self.name if self.scope == DEFAULT_SCOPE else f"{self.scope}.{self.name}"

    @property
    def is_default(self) -> bool:
        """Whether this is the collection that every database has."""
        return self.name == DEFAULT_COLLECTION

    @classmethod
    def parse(cls, text: str) -> CollectionName:
        """Read ``name``, ``scope.name``, ``_default`` or ``_default._default``.

        Raises InvalidNameError for anything that Couchbase Lite would not accept either: 1 to 251
        characters of ``A-Z a-z 0-9 _ % -``, not beginning with ``_`` or ``%``.
        """
        scope, dot, name = text.rpartition(".")
        if not dot:
            scope = DEFAULT_SCOPE
        if name == DEFAULT_COLLECTION and scope == DEFAULT_SCOPE:
            return cls(scope, name)
        for part in (name,) if scope == DEFAULT_SCOPE else (scope, name):
            if not _NAME.match(part):
                raise InvalidNameError(
                    f"{text!r} is not a collection name: use 'name' or 'scope.name', each 1 to 251 "
                    "of A-Z a-z 0-9 _ % -, not beginning with _ or %"
                )
        return cls(scope, name)


def is_document_id(text: str) -> bool:
    """Tell whether `text` may be a document ID (our docs, "Limits")."""
    if not text or text[0] == "_":
        return False
    if text.isascii():
        return len(text) <= DOCUMENT_ID_BYTES_MAX and text.isprintable()
    if _CONTROL.search(text):
        return False
    try:
        return len(text.encode()) <= DOCUMENT_ID_BYTES_MAX
    except UnicodeEncodeError:  # A lone surrogate.
        return False


def are_plain_document_ids(texts: Sequence[object]) -> bool:
    """Tell whether all may be document IDs, quickly; False: look at each with `check_document_id`.

    True for ASCII without controls, as most IDs are.
    """
    try:
        together = "".join(texts)  # type: ignore[arg-type]  # Others than text raise.
    except TypeError:
        return False
    sizes = list(map(len, texts))  # type: ignore[arg-type]
    return (
        together.isascii()
        and together.isprintable()
        and min(sizes, default=0) > 0
        and max(sizes) <= DOCUMENT_ID_BYTES_MAX
        and not ("_" in together and any(text[0] == "_" for text in texts))  # type: ignore[index]
    )


def check_document_id(text: str) -> str:
    """Return `text` if it may be a document ID, else raise InvalidNameError saying why not."""
    if not isinstance(text, str):
        raise InvalidNameError(f"a document ID must be a str, not {type(text).__name__}")
    if is_document_id(text):
        return text
    if not text:
        problem = "is empty"
    elif text[0] == "_":
        problem = "begins with an underscore, which is reserved"
    elif _CONTROL.search(text):
        problem = "contains a control character"
    else:
        problem = f"is longer than {DOCUMENT_ID_BYTES_MAX} bytes of UTF-8 or not valid text"
    raise InvalidNameError(f"the document ID {text[:80]!r} {problem}")


def check_database_name(text: str) -> str:
    """Return `text` if it may name a database, else raise InvalidNameError."""
    if not _DATABASE.match(text):
        raise InvalidNameError(
            f"{text[:80]!r} is not a database name: use 1 to 128 of A-Z a-z 0-9 _ - . "
            "and no dot at the beginning"
        )
    return text


def digest_text(raw: bytes) -> str:
    """Write a SHA-1 (20 bytes) as blobs name it: ``sha1-`` and base64."""
    assert len(raw) == 20, "a SHA-1 has 20 bytes"
    return "sha1-" + base64.b64encode(raw).decode("ascii")


def digest_bytes(text: object) -> bytes | None:
    """Read a blob digest; None unless it is exactly ``sha1-`` and the base64 of 20 bytes.

    Always called before a path is made of a digest that came from outside.
    """
    if not isinstance(text, str) or len(text) != 33 or not text.startswith("sha1-"):
        return None
    try:
        raw = base64.b64decode(text[5:].encode("ascii"), validate=True)
    except (binascii.Error, ValueError):
        return None
    return raw if len(raw) == 20 and digest_text(raw) == text else None

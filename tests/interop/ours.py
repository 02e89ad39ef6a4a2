"""settee's own side of a scenario, through its public names; versions are read out of those."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from settee import Blob, Database, Document
from settee.doc.revision import version_text_of
from tests.interop.content import BlobSpec, Body, Seen, by_digest, filled, make_bytes

__all__ = ["Ours"]

DEFAULT: Final = "_default"


def _blob(spec: BlobSpec, path: str) -> Blob:
    return Blob.from_bytes(make_bytes(spec), spec.type)


def _blobs_in(value: Any) -> Iterable[Blob]:
    if isinstance(value, Blob):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _blobs_in(each)
    elif isinstance(value, list):
        for each in value:
            yield from _blobs_in(each)


class Ours:
    """A database of settee. `by_version`: call revisions what peers of level 4 call them."""

    def __init__(
        self,
        directory: Path,
        collections: Iterable[str] = (DEFAULT,),
        *,
        by_version: bool = False,
    ) -> None:
        self._by_version: Final = by_version
        self._directory: Final = directory
        self._collections: Final = tuple(collections)
        self.db = self._open()

    def _open(self) -> Database:
        db = Database("ours", directory=self._directory)
        for name in self._collections:
            db.collection(name, create=True)
        return db

    def reopen(self) -> None:
        """Close the database, with all that runs on it, and open it again."""
        self.db.close()
        self.db = self._open()

    def save(self, documents: Mapping[str, Body], collection: str = DEFAULT) -> None:
        """Save documents over what is there."""
        self.db.collection(collection).save_many(
            (id, filled(body, _blob)) for id, body in documents.items()
        )

    def delete(self, ids: Iterable[str], collection: str = DEFAULT) -> None:
        """Delete documents."""
        for id in ids:
            self.db.collection(collection).delete(id)

    def count(self, collection: str = DEFAULT) -> int:
        """Return how many documents there are."""
        return len(self.db.collection(collection))

    def dump(self, collection: str = DEFAULT) -> dict[str, Seen]:
        """Read all documents, and all of their blobs."""
        return {each.id: self._seen(each) for each in self.db.collection(collection).documents()}

    def _seen(self, document: Document) -> Seen:
        blobs = {str(blob.digest): by_digest(blob.read()) for blob in _blobs_in(document)}
        tid = document.revision
        return Seen(document.to_dict(), blobs, version_text_of(tid) if self._by_version else tid)

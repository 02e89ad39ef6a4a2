"""A document: a mutable mapping of plain values, with the name and the revision it was read at."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator, Mapping, MutableMapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeVar, cast

import orjson

from settee.db import models
from settee.db.models import DataclassInstance
from settee.db.values import moment_of, plain
from settee.doc import body as bodies
from settee.errors import ConfigError, InvalidDocumentError
from settee.ids import check_document_id

if TYPE_CHECKING:
    from settee.db.collection import Collection

__all__ = ["Document"]

M = TypeVar("M")

_KEY: Final = r"(?:[^.\[\]\\]|\\.)+"
_PLACE: Final = r"\[-?[0-9]{1,9}\]"
_PATH: Final = re.compile(rf"{_KEY}(?:{_PLACE})*(?:\.{_KEY}(?:{_PLACE})*)*", re.DOTALL)
_STEP: Final = re.compile(rf"({_KEY})|\[(-?[0-9]+)\]", re.DOTALL)
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)


class Document(MutableMapping[str, Any]):
    """A document in memory. Change it like a dict, then give it to `Collection.save`.

    Nested values are ordinary dicts and lists. ``Document("id", {...})`` makes a new one; without
    an ID its first save gives it a random one. Nothing is stored before the save. Two documents are
    equal when their values are, whatever their IDs.
    """

    __slots__ = ("_body", "_collection", "_deleted", "_id", "_seq", "_tid")

    __hash__: ClassVar[None] = None  # type: ignore[assignment]  # It is mutable.

    def __init__(
        self, id: str | None = None, body: Mapping[str, Any] | DataclassInstance | None = None
    ) -> None:
        self._id = "" if id is None else check_document_id(id)
        self._body: dict[str, Any] = {} if body is None else _mapping_of(body)
        self._seq = 0
        self._tid = ""
        self._deleted = False
        self._collection: Collection | None = None

    @classmethod
    def _of(cls, id: str | None, body: Mapping[str, Any] | DataclassInstance) -> Document:
        """Make a document to be saved at once, for which None is no body but a mistake."""
        if body is None:
            raise InvalidDocumentError(
                "a document's body must be a mapping, not None; use del to delete a document"
            )
        return cls(id, body)

    @classmethod
    def _stored(
        cls, collection: Collection, id: str, body: dict[str, Any], seq: int, tid: str
    ) -> Document:
        """Make the document that a collection read."""
        document = cls.__new__(cls)
        document._id = id
        document._body = body
        document._seq = seq
        document._tid = tid
        document._deleted = False
        document._collection = collection
        return document

    @classmethod
    def from_json(cls, text: str | bytes, id: str | None = None) -> Document:
        """Make a new document of a JSON object's text.

        Raises InvalidDocumentError for what isn't strict JSON, or that no peer would take.
        """
        raw = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
        return cls(id, bodies.load(raw))

    def to_json(self) -> str:
        """Return the body as JSON text, a blob as the object that names it.

        Raises InvalidDocumentError for a value that can't be stored, UsageError for a blob of a
        file or stream that isn't saved.
        """
        return bodies.dump(plain(self._body)).decode()

    def to_dict(self) -> dict[str, Any]:
        """Return the body as a new dict of JSON values only, as `to_json` would write it."""
        value: dict[str, Any] = orjson.loads(bodies.dump(plain(self._body)))
        return value

    # --- the mapping ------------------------------------------------------------------------------

    def __getitem__(self, key: str) -> Any:
        return self._body[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self._body[key] = value

    def __delitem__(self, key: str) -> None:
        del self._body[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._body)

    def __len__(self) -> int:
        return len(self._body)

    def __contains__(self, key: object) -> bool:
        return key in self._body

    def __repr__(self) -> str:
        revision = self._tid or "not saved"
        return f"<Document {self._id or 'without ID'} {revision}, {len(self._body)} fields>"

    def date(self, field: str) -> datetime.datetime | None:
        """Return a field that was saved as a `datetime`; None if it is missing or null.

        The result always has a time zone; text without one is taken as local time, as Couchbase
        Lite does. Raises InvalidDocumentError for what isn't an ISO 8601 date.
        """
        return moment_of(self._body.get(field), field)

    def as_(self, model: type[M]) -> M:
        """Return the values as an instance of a dataclass, or as a TypedDict.

        Keys that a dataclass doesn't know are left out, unless it has a field with the
        metadata `OTHER_KEYS`. Raises InvalidDocumentError naming the path of what doesn't fit,
        ConfigError for a class that can't be read.
        """
        return models.build(model, self._body)

    def at(self, path: str, default: Any = None) -> Any:
        """Return the value at a path such as ``lines[0].price``, or `default` if nothing is there.

        ``[-1]`` is the last of a list; a backslash takes the next character as it is, for keys with
        dots or brackets. Raises ConfigError for what is no path.
        """
        value: Any = self._body
        for step in _steps_of(path if isinstance(path, str) else ""):
            try:
                if isinstance(step, int) != isinstance(value, list | tuple):
                    return default
                value = value[step]
            except (LookupError, TypeError):
                return default
        return value

    # --- what the database knows of it ------------------------------------------------------------

    @property
    def id(self) -> str:
        """The document's ID; empty for a new one without, until its first save."""
        return self._id

    @property
    def sequence(self) -> int:
        """The collection's number of this change; 0 if never saved."""
        return self._seq

    @property
    def revision(self) -> str:
        """The revision this was read or saved at, such as ``3-ab12…``; empty if never saved."""
        return self._tid

    @property
    def deleted(self) -> bool:
        """Whether this object was given to `Collection.delete`."""
        return self._deleted

    @property
    def collection(self) -> Any:
        """The `Collection` that this was read from or saved to, of the same skin; None if new."""
        return None if self._collection is None else self._collection._face


def _mapping_of(body: object) -> dict[str, Any]:
    if isinstance(body, Mapping):
        return dict(body)
    if models.is_model(body):
        return models.fields_of(cast("DataclassInstance", body))
    raise InvalidDocumentError(
        f"a document's body must be a mapping or a dataclass, not {type(body).__name__}"
    )


@lru_cache(maxsize=256)
def _steps_of(path: str) -> tuple[str | int, ...]:
    """Take a path apart: keys and, of lists, places."""
    if not _PATH.fullmatch(path):
        raise ConfigError("path", f"must be text like 'lines[0].price', not {path[:80]!r}")
    return tuple(
        int(place) if place else _ESCAPED.sub(r"\1", key) for key, place in _STEP.findall(path)
    )

"""Python values of a document to JSON and back. Datetimes, tuples and `Blob` objects end here.

Into the database: `datetime` becomes ISO 8601 text with its offset, `date` the text of the day, a
tuple a list, any other mapping and a dataclass a dict, an enumeration's member its value, a `Blob`
the JSON object that names its content. Out of it: JSON values as they are, and a `Blob` for each
such object.
"""

from __future__ import annotations

import contextlib
import datetime
import enum
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import orjson

from settee.db.blob import Blob, is_blob_properties, put_blobs
from settee.db.models import fields_of, is_model
from settee.db.steps import Steps, Work
from settee.doc import blob as blob_references
from settee.doc import body as bodies
from settee.doc.records import HAS_BLOBS
from settee.errors import CorruptDatabaseError, InvalidDocumentError
from settee.limits import JSON_DEPTH_MAX
from settee.store.blobs import BlobStore

__all__ = [
    "Encoded",
    "decode",
    "decode_many",
    "encode",
    "encode_many",
    "encode_plain_many",
    "moment_of",
    "naming",
    "plain",
    "text_of",
]

_SCALARS: Final = frozenset({str, int, float, bool, type(None)})
_PATH_CHARACTERS_MAX: Final = 200


class Encoded(NamedTuple):
    """A body ready for the store."""

    body: bytes
    """UTF-8 JSON."""
    blobs: tuple[str, ...]
    """Digests that it names."""


# --- in -------------------------------------------------------------------------------------------


def encode(blobs: BlobStore, name: str, value: Mapping[str, object]) -> Steps[Encoded]:
    """Make the stored form of one document; its new blobs are durable when this ends.

    `name` says in errors which document it was. Raises InvalidDocumentError naming the path of what
    no peer would take.
    """
    encoded = _encode_plain(value)
    if encoded is not None:
        return encoded
    return (yield from encode_many(blobs, [(name, value)]))[0]


def encode_many(
    blobs: BlobStore, items: Sequence[tuple[str, Mapping[str, object]]]
) -> Steps[list[Encoded]]:
    """Make the stored form of many documents, with one durability point for all their blobs.

    `items` are names, for errors, and bodies.
    """
    results = [_encode_plain(value) for _, value in items]
    if None in results:
        found: list[Blob] = []
        trees: list[tuple[int, str, Any]] = []
        for place, (name, value) in enumerate(items):
            if results[place] is None:
                with naming(name):
                    trees.append((place, name, _plain(value, "", 0, found.append)))
        if found:
            yield Work(lambda: put_blobs(blobs, found))
        for place, name, tree in trees:
            with naming(name):
                named = _named(tree)
                results[place] = _finish(bodies.dump(named), named)
    return [each for each in results if each is not None]


def _encode_plain(value: Mapping[str, object]) -> Encoded | None:
    """Encode what is JSON already; None if the slow way has to look at it."""
    try:
        return _finish(bodies.dump(value), value)
    except InvalidDocumentError:
        return None  # A datetime or a Blob; or an error, which the slow way meets again.


def encode_plain_many(values: Sequence[Mapping[str, object]]) -> list[bytes] | None:
    """Make the bodies of documents that are plain JSON and name no blob, in one go.

    None if they aren't all such: then `encode_many` looks at each.
    """
    made = bodies.dump_many(values)
    if made is None:
        return None
    text = b",".join(made)  # One search through many bodies, not one through each.
    if (b"_" in text and b'"_' in text) or blob_references.may_have_blobs(text):
        return None
    return made


def _finish(body: bytes, value: Mapping[str, object]) -> Encoded:
    bodies.check_reserved(value)
    if not blob_references.may_have_blobs(body):
        return Encoded(body, ())
    references = blob_references.find_blobs(orjson.loads(body))
    return Encoded(body, tuple(each.digest for each in references))


@contextlib.contextmanager
def naming(name: str) -> Iterator[None]:
    """Let an InvalidDocumentError say which document it was; "" for one without an ID."""
    try:
        yield
    except InvalidDocumentError as exc:
        which = f"the document {name!r}" if name else "the new document"
        raise InvalidDocumentError(f"{which}: {exc}") from exc


def _plain(value: Any, path: str, depth: int, found: Callable[[Blob], object]) -> Any:
    """Copy a tree with JSON types only; `Blob` objects stay and are given to `found`."""
    kind = type(value)
    if kind in _SCALARS:
        return value
    if depth > JSON_DEPTH_MAX:
        raise InvalidDocumentError(
            f"{_shown(path)}: nested deeper than {JSON_DEPTH_MAX}, or holding itself"
        )
    if isinstance(value, Mapping):
        return {
            key: _plain(each, f"{path}.{key}" if path else str(key), depth + 1, found)
            for key, each in value.items()
        }
    if isinstance(value, list | tuple):
        return [_plain(each, f"{path}[{i}]", depth + 1, found) for i, each in enumerate(value)]
    blob = getattr(value, "__settee_blob__", None)
    if blob is not None or isinstance(value, Blob):
        inner = value if blob is None else blob()
        found(inner)
        return inner
    if is_model(value):
        return _plain(fields_of(value), path, depth, found)
    if isinstance(value, enum.Enum):
        return _plain(value.value, path, depth + 1, found)
    if isinstance(value, datetime.datetime):
        return text_of(value, path)
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, str | int | float):
        return value  # A subclass; written as its value.
    raise InvalidDocumentError(f"{_shown(path)}: {_refusal(value)}")


def plain(value: Mapping[str, object]) -> dict[str, Any]:
    """Copy a body with JSON types only, each blob as the object that names it.

    Raises InvalidDocumentError for a value that can't be stored, UsageError for a blob without a
    digest.
    """
    tree: dict[str, Any] = _named(_plain(value, "", 0, lambda _: None))
    return tree


def _named(tree: Any) -> Any:
    """Put in each blob's place the JSON object that names it."""
    if isinstance(tree, dict):
        return {key: _named(each) for key, each in tree.items()}
    if isinstance(tree, list):
        return [_named(each) for each in tree]
    return tree.properties if isinstance(tree, Blob) else tree


def _shown(path: str) -> str:
    if not path:
        return "the body"
    return path if len(path) <= _PATH_CHARACTERS_MAX else f"{path[:_PATH_CHARACTERS_MAX]}…"


def _refusal(value: object) -> str:
    name = type(value).__name__
    if isinstance(value, bytes | bytearray | memoryview):
        return f"{name} is not JSON; use Blob.from_bytes(…) or base64 text"
    if isinstance(value, uuid.UUID):
        return f"{name} is not JSON; use str(…)"
    if isinstance(value, set | frozenset):
        return f"{name} has no order; use a list"
    return (
        f"{name} can't be stored; use None, bool, int, float, str, list, dict, "
        "datetime, date, Blob or a dataclass"
    )


def text_of(moment: datetime.datetime, path: str = "") -> str:
    """Write a moment as ISO 8601 with its offset from UTC.

    Raises InvalidDocumentError for one without a time zone: devices in two zones would read two
    moments.
    """
    offset = moment.utcoffset()
    if offset is None:
        raise InvalidDocumentError(
            f"{_shown(path)}: this datetime has no time zone; use datetime.now(timezone.utc), "
            "or .astimezone() to take it as local time"
        )
    if offset.seconds % 60 or offset.microseconds:
        moment = moment.astimezone(datetime.UTC)  # RFC 3339 knows offsets of whole minutes only.
    return moment.isoformat()


# --- out ------------------------------------------------------------------------------------------


def decode(
    body: bytes, flags: int, blobs: BlobStore, wrap_blob: Callable[[Blob], object] | None
) -> dict[str, Any]:
    """Read a stored body; `wrap_blob` makes the skin's own object of each blob.

    Raises CorruptDatabaseError for what can't have been stored.
    """
    try:
        value: dict[str, Any] = orjson.loads(body)
    except orjson.JSONDecodeError as exc:
        raise CorruptDatabaseError(
            f"a document's body is damaged ({exc}); restore the database from a copy"
        ) from exc
    if type(value) is not dict:
        raise CorruptDatabaseError(
            "a document's body is no object any more; restore the database from a copy"
        )
    if flags & HAS_BLOBS:
        return {key: _with_blobs(each, blobs, wrap_blob) for key, each in value.items()}
    return value


def decode_many(
    stored: Sequence[bytes],
    flags: Sequence[int],
    blobs: BlobStore,
    wrap_blob: Callable[[Blob], object] | None,
) -> list[dict[str, Any]]:
    """Read many stored bodies, as `decode` reads one."""
    if not any(map(HAS_BLOBS.__and__, flags)):
        with contextlib.suppress(orjson.JSONDecodeError):  # Which it is, `decode` finds out.
            values: list[dict[str, Any]] = list(map(orjson.loads, stored))
            if set(map(type, values)) == {dict}:
                return values
    return [decode(body, own, blobs, wrap_blob) for body, own in zip(stored, flags, strict=True)]


def _with_blobs(value: Any, blobs: BlobStore, wrap_blob: Callable[[Blob], object] | None) -> Any:
    if isinstance(value, dict):
        if is_blob_properties(value):
            blob = Blob._stored(blobs, value)
            return blob if wrap_blob is None else wrap_blob(blob)
        return {key: _with_blobs(each, blobs, wrap_blob) for key, each in value.items()}
    if isinstance(value, list):
        return [_with_blobs(each, blobs, wrap_blob) for each in value]
    return value


def moment_of(value: object, field: str) -> datetime.datetime | None:
    """Read a moment that was saved; None for null.

    Text without an offset is taken as local time, as Couchbase Lite does. Raises
    InvalidDocumentError for anything else than ISO 8601 text.
    """
    if value is None:
        return None
    if isinstance(value, str):
        text = value
        try:
            value = datetime.datetime.fromisoformat(text)
        except ValueError:
            raise InvalidDocumentError(f"{field}: {text[:80]!r} is not an ISO 8601 date") from None
    if not isinstance(value, datetime.datetime):
        raise InvalidDocumentError(f"{field}: {type(value).__name__} is not a date")
    return value if value.utcoffset() is not None else value.astimezone()

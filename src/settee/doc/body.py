"""Document bodies: strict JSON in, plain JSON out.

Room: pure document.
Touches: bytes and plain values.
Never touches: sockets, files, the wall clock, randomness.

Everything that comes from outside, be it a peer, a file or the API, passes `load` or `dump`, so
that all peers see the same document: no duplicate keys (one library reads the first, another the
last), no integers beyond 64 bits, no NaN, no lone surrogates, a bounded depth. Bodies are kept as
they came; nothing here reformats one without a reason.
"""

from __future__ import annotations

import json
import marshal
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import repeat
from operator import add
from typing import Any, Final, NoReturn

import orjson

from settee.doc.blob import absorb_attachments
from settee.errors import InvalidDocumentError
from settee.limits import (
    DOCUMENT_BODY_BYTES_MAX,
    INTEGER_MAX,
    INTEGER_MIN,
    JSON_CONTAINERS_MAX,
    JSON_DEPTH_MAX,
)

__all__ = ["canonical", "check_reserved", "dump", "dump_many", "load", "strip_reserved"]

_PLAIN: Final = (
    orjson.OPT_PASSTHROUGH_DATACLASS
    | orjson.OPT_PASSTHROUGH_DATETIME
    | orjson.OPT_PASSTHROUGH_SUBCLASS
)
_INTEGER_DIGITS_MAX: Final = 20
_INTEGER_DIGITS_SAFE: Final = 18
"""With a sign or without, these fit in 64 bits."""

_DOUBTFUL: Final = re.compile(rb"[0-9]{19}|[0-9][eE]")
_TEXT: Final = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)

_BATCH_BYTES_MAX: Final = 2**20
"""Bodies that `dump_many` checks in one go: beyond this one by one costs no more."""

_UNDERSCORE: Final = ord("_")
_BACKSLASH: Final = ord("\\")
_BRACKET: Final = ord("[")
"""A single byte given as a number is found ten times as fast as one given as bytes."""

_loads: Final = orjson.loads
_dumps: Final = orjson.dumps


# --- in -----------------------------------------------------------------------------------------


def load(body: bytes) -> dict[str, object]:
    """Return the value of a document body, UTF-8 JSON with an object at the top.

    Raises InvalidDocumentError, with a sentence that says why, for what some peer could not take
    or would read differently: malformed JSON, another top-level type, nesting deeper than
    `JSON_DEPTH_MAX`, a key twice in one object, integers outside `INTEGER_MIN` … `INTEGER_MAX`,
    numbers that overflow, NaN, lone surrogates, more than `DOCUMENT_BODY_BYTES_MAX` bytes or
    `JSON_CONTAINERS_MAX` objects and arrays.
    """
    if len(body) > DOCUMENT_BODY_BYTES_MAX:
        raise _too_large(len(body))
    opened = _check_containers(body)
    try:
        value = _loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidDocumentError(f"the body is not valid JSON: {error}") from None
    if type(value) is not dict:
        raise InvalidDocumentError("the body must be a JSON object")
    if opened > JSON_DEPTH_MAX and _depth_exceeded(value):
        raise _too_deep()
    # Written again it is the same, byte for byte: then no key was lost and no integer rounded.
    # (Equal lengths would not do: a rounded integer and one space make up for each other.)
    again = _dumps(value)
    if again != body and not _says_the_same(body, again):
        _check_strictly(body)
    return value


def _check_containers(body: bytes) -> int:
    """Return how many objects and arrays a body has at most; raise if they are too many.

    Before it is read: what is read of so many would fill the memory.
    """
    if _BRACKET not in body and body.find(b"{", 1) < 0:
        return 1  # Most documents hold neither objects nor arrays.
    opened = body.count(b"{") + body.count(b"[")
    if opened > JSON_CONTAINERS_MAX:  # Those inside texts don't count.
        bare = _TEXT.sub(b"", body)
        opened = bare.count(b"{") + bare.count(b"[")
        if opened > JSON_CONTAINERS_MAX:
            raise InvalidDocumentError(
                f"the body has more than {JSON_CONTAINERS_MAX} objects and arrays; split it into "
                "several documents"
            )
    return opened


def _depth_exceeded(value: object) -> bool:
    level: list[Any] = [value]
    for _ in range(JSON_DEPTH_MAX):
        level = [
            child
            for node in level
            for child in (node.values() if type(node) is dict else node)
            if type(child) is dict or type(child) is list
        ]
        if not level:
            return False
    return True


def _says_the_same(body: bytes, again: bytes) -> bool:
    """Tell quickly whether what was read and written again lost nothing; False: look closely.

    With a key goes a text, and only numbers that are long or have an exponent may be rounded.
    """
    bare, texts = _TEXT.subn(b'"', body)
    return _DOUBTFUL.search(bare) is None and _TEXT.subn(b'"', again)[1] == texts


def _check_strictly(body: bytes) -> None:
    """Raise InvalidDocumentError for what the fast parser lets pass in well-formed JSON."""
    json.loads(
        body.decode(),
        object_pairs_hook=_object,
        parse_int=_integer,
        parse_float=_float,
        parse_constant=_constant,
    )


def _object(pairs: list[tuple[str, object]]) -> None:
    """Look for keys that come twice; what was read is not needed a second time."""
    if len(pairs) > 1 and len(dict(pairs)) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise InvalidDocumentError(f"the body has the key {key[:80]!r} twice in one object")
            seen.add(key)


def _integer(digits: str) -> None:
    if len(digits) <= _INTEGER_DIGITS_SAFE:
        return
    if len(digits) <= _INTEGER_DIGITS_MAX and INTEGER_MIN <= int(digits) <= INTEGER_MAX:
        return
    raise InvalidDocumentError(f"the integer {digits[:40]} in the body does not fit in 64 bits")


def _float(digits: str) -> None:
    if math.isfinite(float(digits)):
        return
    raise InvalidDocumentError(f"the number {digits[:40]} in the body is too large")


def _constant(word: str) -> NoReturn:
    raise InvalidDocumentError(f"the body has {word}, which is not JSON")


# --- out ----------------------------------------------------------------------------------------


def dump(value: Mapping[str, object]) -> bytes:
    """Return a document body: compact UTF-8 JSON of plain values.

    Plain are dict (any mapping), list, tuple, str, int, float, bool and None, with text as keys.
    Raises InvalidDocumentError naming the place (``items[3].price``) for anything else and for
    what is beyond the limits of `load`.
    """
    if not isinstance(value, dict) and not isinstance(value, Mapping):
        raise InvalidDocumentError(f"a body must be a mapping, not {_kind(value)}")
    try:
        body = _dumps(value, option=_PLAIN)
        # What the library writes in its own way (NaN, UUIDs, tuples) does not come back equal.
        exact = _loads(body) == value
    except (orjson.JSONEncodeError, orjson.JSONDecodeError, RecursionError):
        exact = False
    if not exact:
        body = _dumps(_plain(value, "", 1))
    opened = _check_containers(body)
    if exact and opened > JSON_DEPTH_MAX:
        _plain(value, "", 1)
    if len(body) > DOCUMENT_BODY_BYTES_MAX:
        raise _too_large(len(body))
    return body


def dump_many(values: Sequence[Mapping[str, object]]) -> list[bytes] | None:
    """Return what `dump` would for each, at half its cost; None: give them to `dump` one by one.

    None says only that one of them is not as plain as most are; which, and whether it may be, is
    what `dump` finds out.
    """
    try:
        # The library's result sits in a block of 1 KiB or more. Many of those, kept, cost ten times
        # the writing itself (fresh pages from the system): so each is copied to its own size.
        made = [b"%b" % _dumps(value, option=_PLAIN) for value in values]
        sizes = list(map(len, made))
        if sum(sizes) > _BATCH_BYTES_MAX:
            return None
        # Written as it was meant is what both libraries take and neither has to translate: marshal
        # refuses UUIDs, enumerations and subclasses, and what JSON lacks (NaN) is written as null.
        marshal.dumps(values, 4)  # type: ignore[arg-type]  # Others than plain ones raise.
        text = b",".join(made)
        if b"null" in text and _loads(b"[%b]" % text) != list(values):
            return None
    except (orjson.JSONEncodeError, orjson.JSONDecodeError, RecursionError, ValueError):
        return None
    if max(sizes, default=0) > 2 * JSON_DEPTH_MAX:  # Shorter text can't nest deeper.
        opened = map(bytes.count, made, repeat(b"{")), map(bytes.count, made, repeat(b"["))
        if max(map(add, *opened)) > JSON_DEPTH_MAX:
            return None
    return made


def canonical(value: Mapping[str, object]) -> bytes:
    """Return the canonical JSON of a body: keys sorted by their bytes, no space, UTF-8 unescaped.

    Raises InvalidDocumentError as `dump` does.
    """
    return _dumps(_loads(dump(value)), option=orjson.OPT_SORT_KEYS)


def _plain(value: object, path: str, depth: int) -> object:
    """Return a copy made of plain JSON types, or raise naming the place of what is none."""
    if value is None or value is True or value is False:
        return value
    if isinstance(value, str):
        text = str(value)
        if not text.isascii():
            _check_text(text, path)
        return text
    if isinstance(value, int):
        if not INTEGER_MIN <= value <= INTEGER_MAX:
            raise InvalidDocumentError(f"{_place(path)}: the integer does not fit in 64 bits")
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise InvalidDocumentError(f"{_place(path)}: {value} is not a number that JSON has")
        return float(value)
    if depth > JSON_DEPTH_MAX:
        raise InvalidDocumentError(f"{_place(path[:80])}: {_too_deep()}")
    if isinstance(value, Mapping):
        plain: dict[str, object] = {}
        for key, item in value.items():
            if not isinstance(key, str):
                raise InvalidDocumentError(
                    f"{_place(path)}: the key {key!r} is not text but {_kind(key)}"
                )
            _check_text(key, path)
            plain[str(key)] = _plain(item, f"{path}.{key}" if path else key, depth + 1)
        return plain
    if isinstance(value, (list, tuple)):
        return [_plain(item, f"{path}[{i}]", depth + 1) for i, item in enumerate(value)]
    raise InvalidDocumentError(
        f"{_place(path)}: {_kind(value)} is not a JSON value; use dict, list, str, int, float, "
        "bool or None"
    )


def _check_text(text: str, path: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidDocumentError(
            f"{_place(path)}: the text has a lone surrogate, which is not valid Unicode"
        ) from None


def _place(path: str) -> str:
    return path.encode(errors="backslashreplace").decode() if path else "the body"


def _kind(value: object) -> str:
    return type(value).__name__


def _too_large(size: int) -> InvalidDocumentError:
    return InvalidDocumentError(
        f"a body of {size} bytes is too large: at most {DOCUMENT_BODY_BYTES_MAX} are accepted"
    )


def _too_deep() -> InvalidDocumentError:
    return InvalidDocumentError(f"values are nested deeper than {JSON_DEPTH_MAX} levels")


# --- reserved keys ------------------------------------------------------------------------------


def check_reserved(value: Iterable[str]) -> None:
    """Raise InvalidDocumentError if a body has a top-level key that begins with ``_``.

    Peers strip or refuse such keys (wire protocol 5A.5), so they can't be saved.
    """
    for key in value:
        if key.startswith("_"):
            raise InvalidDocumentError(
                f"the key {key[:80]!r} is reserved: keys at the top of a document must not begin "
                "with an underscore"
            )


def strip_reserved(body: bytes) -> bytes:
    """Return a received body without its reserved top-level keys (wire protocol 5A.5, 6.4).

    The same bytes if there are none. `body` must have passed `load`.
    """
    if _UNDERSCORE not in body and _BACKSLASH not in body:
        return body
    if b'"_' not in body and b'"\\u005' not in body:
        return body
    value: dict[str, Any] = _loads(body)
    reserved = [key for key in value if key.startswith("_")]
    if not reserved:
        return body
    kept = absorb_attachments(value) if "_attachments" in value else None
    for key in reserved:
        del value[key]
    if kept:
        value["_attachments"] = kept
    return _dumps(value)

"""Documents as both sides of a scenario see them: made for one, read from the other, compared."""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

__all__ = [
    "BlobSpec",
    "Seen",
    "by_digest",
    "differences",
    "filled",
    "make_bytes",
    "numbered",
    "read_json",
]

Body = Mapping[str, Any]


class BlobSpec(NamedTuple):
    """A blob to be made by whoever saves the document that it stands in."""

    size: int
    seed: int = 1
    type: str = "application/octet-stream"


class Seen(NamedTuple):
    """A document read through a peer's own API."""

    body: Body
    """JSON values; a blob is the object that names it."""
    blobs: Mapping[str, str]
    """The digest that each blob is named by, and that of the content that was read."""
    revision: str
    """What both peers call it: a tree name, or at level 4 a version."""


def make_bytes(spec: BlobSpec) -> bytes:
    """Return the content of a blob; java/Peer.java makes the same."""
    if spec.size <= 2**16:
        return bytes((spec.seed * 31 + i * 7 + (i >> 8)) & 255 for i in range(spec.size))
    period = make_bytes(spec._replace(size=2**16))  # i * 7 + (i >> 8) comes round after 2**16.
    return (period * (spec.size // len(period) + 1))[: spec.size]


def by_digest(content: bytes) -> str:
    """Return the digest that names a blob."""
    sha1 = hashlib.sha1(content, usedforsecurity=False)
    return "sha1-" + base64.b64encode(sha1.digest()).decode()


def filled(value: Any, make: Callable[[BlobSpec, str], Any], path: str = "") -> Any:
    """Return `value` with each BlobSpec replaced by what `make` makes of it and its path."""
    if isinstance(value, BlobSpec):
        return make(value, path)
    if isinstance(value, Mapping):
        return {key: filled(each, make, f"{path}/{key}") for key, each in value.items()}
    if isinstance(value, list):
        return [filled(each, make, f"{path}/{index}") for index, each in enumerate(value)]
    return value


def numbered(count: int, prefix: str = "doc", **more: Any) -> dict[str, Body]:
    """Return documents to tell apart."""
    return {f"{prefix}-{n:05}": {"n": n, "text": f"{prefix} {n}", **more} for n in range(count)}


def read_json(text: str | bytes) -> Any:
    """Read JSON strictly: no key twice, no NaN."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(pairs)
        assert len(result) == len(pairs), f"a key comes twice in {text[:500]!r}"
        return result

    return json.loads(text, object_pairs_hook=once, parse_constant=_no_constant)


def _no_constant(name: str) -> Any:
    raise AssertionError(f"{name} is not JSON")


def differences(ours: Mapping[str, Seen], theirs: Mapping[str, Seen]) -> list[str]:
    """Compare two sides field by field; return what differs, the first few."""
    found: list[str] = []
    for id in sorted(ours.keys() | theirs.keys()):
        if id not in theirs:
            found.append(f"{id!r} is missing at theirs")
        elif id not in ours:
            found.append(f"{id!r} is missing at ours")
        else:
            found += [f"{id!r}{each}" for each in _document(ours[id], theirs[id])]
        if len(found) > 10:
            return [*found, "…"]
    return found


def _document(ours: Seen, theirs: Seen) -> Iterator[str]:
    yield from _value("", ours.body, theirs.body)
    if ours.revision != theirs.revision:
        yield f" is {ours.revision} at ours, {theirs.revision} at theirs"
    for side, seen in (("ours", ours), ("theirs", theirs)):
        for named, read in seen.blobs.items():
            if named != read:
                yield f": the blob {named} of {side} has the content of {read}"
    if ours.blobs.keys() != theirs.blobs.keys():
        yield f": blobs {sorted(ours.blobs)} and {sorted(theirs.blobs)}"


def _value(path: str, a: Any, b: Any) -> Iterator[str]:
    if isinstance(a, dict) and isinstance(b, dict):
        for key in a.keys() | b.keys():
            if key not in a or key not in b:
                yield f"{path}.{key}: only at {'ours' if key in a else 'theirs'}"
            else:
                yield from _value(f"{path}.{key}", a[key], b[key])
    elif isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        for index, (one, other) in enumerate(zip(a, b, strict=True)):
            yield from _value(f"{path}[{index}]", one, other)
    elif not _equal(a, b):
        yield f"{path}: {a!r} at ours, {b!r} at theirs"


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, int | float) and isinstance(b, int | float):
        return a == b and math.copysign(1, a) == math.copysign(1, b)
    return type(a) is type(b) and a == b

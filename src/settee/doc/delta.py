"""Deltas: what changed between two bodies, as JSON (wire protocol 7.1).

Room: pure document.
Touches: settee.limits, plain values.
Never touches: sockets, files, the wall clock, randomness.

A delta of an object is an object of the keys that changed. ``[]`` deletes, ``[x]`` is the new value
x, a scalar is itself, an object patches an object, or an array by index (``"3"``) with at most one
new tail (``"3-"``), and ``[ops, 0, 2]`` changes a text. Text is counted in UTF-8 bytes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import orjson

from settee.doc.body import dump, load
from settee.errors import InvalidDocumentError
from settee.limits import DELTA_TEXT_STEPS_MAX

__all__ = ["CorruptDelta", "apply", "apply_body", "difference", "make"]

TEXT_BYTES_MIN: Final = 60
"""A shorter text is sent whole, as Couchbase Lite does."""

_TEXT_DELTA_EXTRA_BYTES: Final = 6
_INDEX: Final = re.compile(r"(0|[1-9][0-9]{0,8})(-?)\Z")
_COUNT: Final = re.compile(rb"([0-9]{1,9})([=+-])")
_ABSENT: Final = object()


class CorruptDelta(InvalidDocumentError):
    """A delta that is malformed or does not fit its base. The sender should send it all (422)."""


# --- apply --------------------------------------------------------------------------------------


def apply_body(old: bytes, delta: bytes) -> bytes:
    """Return the body that a received delta makes of an old one.

    Raises CorruptDelta as `apply` does, or InvalidDocumentError if `delta` is not strict JSON or
    the result is beyond the limits of a body.
    """
    return dump(apply(load(old), load(delta)))


def apply(old: Mapping[str, Any], delta: Mapping[str, Any]) -> dict[str, Any]:
    """Return the value that `delta` makes of `old`, which stays as it is (parts may be shared).

    A result is never larger than the old value and the delta together. Raises CorruptDelta if the
    delta is malformed or does not fit.
    """
    return _patched_object(old, delta)


def _patched_object(old: Mapping[str, Any], delta: Mapping[str, Any]) -> dict[str, Any]:
    new = dict(old)
    for key, change in delta.items():
        value = _patched(new.get(key, _ABSENT), change)
        if value is not _ABSENT:
            new[key] = value
        else:
            new.pop(key, None)
    return new


def _patched(old: Any, delta: Any) -> Any:
    """Return the new value, `_ABSENT` if it is to go (or isn't there and stays away)."""
    if isinstance(delta, list):
        return _replaced(old, delta)
    if not isinstance(delta, dict):
        return delta
    if not delta:
        return old
    if isinstance(old, dict):
        return _patched_object(old, delta)
    if isinstance(old, list):
        return _patched_array(old, delta)
    raise CorruptDelta("the delta patches something that is neither an object nor an array")


def _replaced(old: Any, delta: list[Any]) -> Any:
    count = len(delta)
    if count == 1:
        return delta[0]
    if count == 0:
        if old is _ABSENT:
            raise CorruptDelta("the delta deletes a key that isn't there")
        return _ABSENT
    if count == 2:
        return delta[1]
    if count == 3 and type(delta[1]) is int and delta[1] == 0 and type(delta[2]) is int:
        if delta[2] == 2 and isinstance(delta[0], str) and isinstance(old, str):
            return _patched_text(old, delta[0])
        if delta[2] == 0 and old is not _ABSENT:
            return _ABSENT
    raise CorruptDelta("the delta has an array that means nothing, or a text change without a text")


def _patched_array(old: list[Any], delta: dict[str, Any]) -> list[Any]:
    new = list(old)
    tail: list[Any] = []
    kept: int | None = None
    for key, change in delta.items():
        match = _INDEX.match(key)
        if match is None:
            raise CorruptDelta(f"the delta patches an array at {key[:40]!r}, which is no index")
        index = int(match[1])
        if match[2]:
            if kept is not None or index > len(old) or not isinstance(change, list):
                raise CorruptDelta(f"the delta gives an array the tail {key!r}, which can't be")
            kept, tail = index, change
        elif index >= len(old):
            raise CorruptDelta(f"the delta changes item {index} of an array of {len(old)}")
        else:
            item = _patched(old[index], change)
            if item is _ABSENT:
                raise CorruptDelta("the delta deletes an item out of the middle of an array")
            new[index] = item
    if kept is not None:
        new[kept:] = tail
    return new


def _patched_text(old: str, ops: str) -> str:
    source = old.encode()
    script = ops.encode()
    pieces: list[bytes] = []
    taken = at = steps = 0
    while at < len(script):
        match = _COUNT.match(script, at)
        steps += 1
        if match is None or steps > DELTA_TEXT_STEPS_MAX:
            raise CorruptDelta("the delta has a malformed text change, or one of too many steps")
        count = int(match[1])
        at = match.end()
        if match[2] == b"+":
            pieces.append(script[at : at + count])
            at += count + 1
            if script[at - 1 : at] != b"|":
                raise CorruptDelta("the delta has an insertion of the wrong length")
        else:
            if match[2] == b"=":
                pieces.append(source[taken : taken + count])
            taken += count
            if taken > len(source):
                break
    if taken != len(source):
        raise CorruptDelta("the delta changes a text of another length")
    try:
        return b"".join(pieces).decode()
    except UnicodeDecodeError:
        raise CorruptDelta("the delta cuts a text inside a character") from None


# --- make ---------------------------------------------------------------------------------------


def make(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return a delta from `old` to `new`, None if it would not be shorter than `new` itself."""
    delta = difference(old, new)
    return delta if len(orjson.dumps(delta)) < len(orjson.dumps(new)) else None


def difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Return the delta from `old` to `new`; empty if they are equal.

    Numbers are equal by value; 1 and true are not; the order of keys does not matter.
    """
    delta: dict[str, Any] = {}
    for key, value in new.items():
        before = old.get(key, _ABSENT)
        if before is _ABSENT:
            delta[key] = _literal(value)
        elif type(value) is type(before) is str:  # Most are, and need no closer look.
            if value != before:
                delta[key] = _text_difference(before, value)
        elif not _same(before, value):
            delta[key] = _change(before, value)
    for key in old:
        if key not in new:
            delta[key] = []
    return delta


def _literal(value: Any) -> Any:
    return [value] if isinstance(value, (dict, list)) else value


def _change(old: Any, new: Any) -> Any:
    """Return the shortest form that we know of a change between unequal values."""
    if isinstance(new, dict):
        if isinstance(old, dict):
            return _shorter(difference(old, new), [new])
    elif isinstance(new, list):
        if isinstance(old, list) and old and new:
            return _shorter(_array_difference(old, new), [new])
    elif isinstance(new, str) and isinstance(old, str):
        return _text_difference(old, new)
    return _literal(new)


def _shorter(change: Any, whole: Any) -> Any:
    return change if len(orjson.dumps(change)) <= len(orjson.dumps(whole)) else whole


def _array_difference(old: list[Any], new: list[Any]) -> dict[str, Any]:
    common = min(len(old), len(new))
    delta: dict[str, Any] = {
        str(i): _change(old[i], new[i]) for i in range(common) if not _same(old[i], new[i])
    }
    if len(old) != len(new):
        delta[f"{common}-"] = new[common:]
    return delta


def _text_difference(old: str, new: str) -> Any:
    """Return ``[ops, 0, 2]`` with what lies between the common ends, or `new` if no longer."""
    target = new.encode()
    if len(target) < TEXT_BYTES_MIN:
        return new
    head = _common_head(old, new)
    tail = _common_head(old[head:][::-1], new[head:][::-1])
    inserted = new[head : len(new) - tail]
    parts = []
    for count, operator in (
        (len(old[:head].encode()), "="),
        (len(old[head : len(old) - tail].encode()), "-"),
        (len(inserted.encode()), f"+{inserted}|"),
        (len(old[len(old) - tail :].encode()), "="),
    ):
        if count:
            parts.append(f"{count}{operator}")
    ops = "".join(parts)
    if len(ops.encode()) + _TEXT_DELTA_EXTRA_BYTES >= len(target):
        return new
    return [ops, 0, 2]


def _common_head(a: str, b: str) -> int:
    """Return how many characters two texts have in common at the beginning."""
    low, high = 0, min(len(a), len(b))
    if a[:high] == b[:high]:
        return high
    while high - low > 1:  # Equal up to low, unequal up to high.
        middle = (low + high) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle
    return low


def _same(a: Any, b: Any) -> bool:
    if a is b:
        return True
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(_same(a[k], b[k]) for k in a)
    if isinstance(a, list):
        return isinstance(b, list) and len(a) == len(b) and all(map(_same, a, b))
    return isinstance(a, bool) is isinstance(b, bool) and bool(a == b)

"""One text for each JSON value, so that ties are broken the same way everywhere.

Room: pure inventory model.
Touches: JSON values, text.
Never touches: settee, files.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

__all__ = ["digest_of", "same", "text_of"]


def text_of(value: Any) -> str:
    """Return the text of a JSON value: keys sorted, no spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)


def same(one: Any, other: Any) -> bool:
    """Tell whether two JSON values are the same; ``1`` and ``True`` are not."""
    return one is other or (type(one) is type(other) and text_of(one) == text_of(other))


def digest_of(value: Any, digits: int) -> str:
    """Return the first hex digits of the SHA-256 of a JSON value's text."""
    return hashlib.sha256(text_of(value).encode("utf-8", "surrogatepass")).hexdigest()[:digits]

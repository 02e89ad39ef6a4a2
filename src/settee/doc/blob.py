"""Blobs as documents name them: finding, proving, and the old way of naming them.

Room: pure document.
Touches: plain values and bytes.
Never touches: sockets, files, the wall clock, randomness.

A blob is an object ``{"@type": "blob", "digest": "sha1-…", "length": 5, …}`` anywhere in a body
(wire protocol 6.1). Sync Gateway wants each listed under ``_attachments``, too (6.2), and sends
them so (6.4); in a stored body only attachments that stand for no blob object remain there.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from settee.errors import InvalidDocumentError
from settee.ids import digest_bytes
from settee.limits import NONCE_BYTES_MAX

__all__ = [
    "BlobReference",
    "Prover",
    "absorb_attachments",
    "compressible",
    "find_blobs",
    "may_have_blobs",
    "with_attachments",
]

_PACKED: Final = ("gzip", "zip", "zlib", "pkcs", "mpeg", "mp4", "crypt", ".rar", "-rar")
_AT: Final = ord("@")
_UNDERSCORE: Final = ord("_")
_BACKSLASH: Final = ord("\\")
_MEDIA: Final = ("image/", "audio/", "video/")


class BlobReference(NamedTuple):
    """What a body says of one blob."""

    digest: str
    """``sha1-`` and base64, well-formed."""
    length: int | None
    """Bytes, None if the body doesn't say."""
    content_type: str
    """"" if the body doesn't say."""
    encoding: str
    """"" if the body doesn't say."""


# --- finding ------------------------------------------------------------------------------------


def may_have_blobs(body: bytes) -> bool:
    """Tell quickly whether a body could name a blob; False is certain."""
    # Each blob has one of these, and a single byte is found ten times as fast as a word.
    if _AT not in body and _UNDERSCORE not in body and _BACKSLASH not in body:
        return False
    return b'"digest"' in body or b"\\u00" in body  # The word may hide behind escapes.


def find_blobs(value: Mapping[str, Any]) -> list[BlobReference]:
    """Return the blobs that a body names, each digest once, in the order met (6.1)."""
    found: dict[str, BlobReference] = {}
    for _, blob in _walk(value, ""):
        found.setdefault(blob["digest"], _reference(blob))
    attachments = value.get("_attachments")
    if isinstance(attachments, dict):
        for entry in attachments.values():
            if isinstance(entry, dict) and digest_bytes(entry.get("digest")):
                found.setdefault(entry["digest"], _reference(entry))
    return list(found.values())


def _walk(value: Any, path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every blob object below `value` with its path, ``/photo`` or ``/album/0/pic``."""
    pairs = value.items() if isinstance(value, Mapping) else enumerate(value)
    for key, item in pairs:
        if type(item) is dict:
            if _is_blob(item):
                yield f"{path}/{key}", item
            else:
                yield from _walk(item, f"{path}/{key}")
        elif type(item) is list:
            yield from _walk(item, f"{path}/{key}")


def _is_blob(item: dict[str, Any]) -> bool:
    return item.get("@type") == "blob" and digest_bytes(item.get("digest")) is not None


def _reference(item: dict[str, Any]) -> BlobReference:
    length = item.get("length")
    content_type = item.get("content_type")
    encoding = item.get("encoding")
    return BlobReference(
        item["digest"],
        length if type(length) is int and length >= 0 else None,
        content_type if isinstance(content_type, str) else "",
        encoding if isinstance(encoding, str) else "",
    )


# --- on the wire --------------------------------------------------------------------------------


class Prover:
    """Proves that one has a blob's content (wire protocol 3.10).

    ``Prover(nonce).update(chunk)…finish()`` is the body of the answer. Raises InvalidDocumentError
    unless the nonce has 1 to 255 bytes.
    """

    __slots__ = ("_sha1",)

    def __init__(self, nonce: bytes) -> None:
        if not 1 <= len(nonce) <= NONCE_BYTES_MAX:
            raise InvalidDocumentError(
                f"a nonce of {len(nonce)} bytes: 1 to {NONCE_BYTES_MAX} are needed"
            )
        self._sha1 = hashlib.sha1(bytes([len(nonce)]) + nonce, usedforsecurity=False)

    def update(self, chunk: bytes) -> Prover:
        """Add the next bytes of the content."""
        self._sha1.update(chunk)
        return self

    def finish(self) -> str:
        """Return the proof, ``sha1-`` and base64."""
        return "sha1-" + base64.b64encode(self._sha1.digest()).decode("ascii")


def compressible(content_type: str, encoding: str = "") -> bool:
    """Tell whether to ask for a blob in compressed form, by what its document says of it (6.3)."""
    if not content_type:
        return False
    kind = content_type.lower()
    coding = encoding.lower()
    if any(word in kind or word in coding for word in _PACKED):
        return False
    return not kind.startswith(_MEDIA)


# --- the old way --------------------------------------------------------------------------------


def with_attachments(value: Mapping[str, Any], generation: int = 0) -> dict[str, Any]:
    """Return a body as a peer wants it that doesn't know blob objects (6.2).

    A shallow copy with ``_attachments`` added if there is a blob. `generation`: of the revision's
    tree name; 0 (version vectors) leaves ``revpos`` out.
    """
    listed: dict[str, Any] = {}
    extra: dict[str, Any] = {"revpos": generation, "stub": True} if generation else {"stub": True}
    for path, blob in _walk({k: v for k, v in value.items() if k != "_attachments"}, ""):
        listed[f"blob_{path}"] = {k: v for k, v in blob.items() if k != "@type"} | extra
    if not listed:
        return dict(value)
    present = value.get("_attachments")
    return {**value, "_attachments": {**(present if isinstance(present, dict) else {}), **listed}}


def absorb_attachments(value: dict[str, Any]) -> dict[str, Any]:
    """Return what must stay under ``_attachments`` of a received body (6.4).

    Entries that stand for a blob object go: ``blob_/path`` with a blob at that path (a different
    digest is a newer attachment: it is copied into the blob object, which changes `value`), and
    ``blob_<number>`` of 2.0. The rest are attachments in their own right.
    """
    attachments = value.get("_attachments")
    if not isinstance(attachments, dict):
        return {}
    body = {key: item for key, item in value.items() if key != "_attachments"}
    blobs = dict(_walk(body, ""))
    kept: dict[str, Any] = {}
    for key, entry in attachments.items():
        if key.startswith("blob_"):
            place = key[5:]
            if place.isdecimal():
                continue
            blob = blobs.get(place)
            if blob is not None:
                newer = entry.get("digest") if isinstance(entry, dict) else None
                if newer != blob["digest"] and digest_bytes(newer):
                    blob["digest"] = newer
                    if type(entry.get("length")) is int:
                        blob["length"] = entry["length"]
                continue
        kept[key] = entry
    return kept

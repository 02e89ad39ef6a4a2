"""What passes over the links: counted always, written down if somebody wants to read it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from settee.blip.codec import Decoder
from settee.blip.frame import ERR, MORE_COMING, TYPE_MASK, read_header
from settee.blip.message import decode_message

_KINDS = ("MSG", "RPY", "ERR")
_UNINTERESTING = frozenset({"getCheckpoint", "setCheckpoint", "getCollections"})


class Ear:
    """Listens to one direction of a link."""

    def __init__(
        self, label: str, counts: Counter[str], write: Callable[[str], None] | None
    ) -> None:
        self._label = label
        self._counts = counts
        self._write = write
        self._decoder = Decoder()
        self._open: dict[tuple[int, int], bytes] = {}

    def __call__(self, frame: bytes) -> None:
        number, flags, at = read_header(frame)
        kind = flags & TYPE_MASK
        if kind > ERR:
            return  # An ACK.
        key = number, kind
        payload = self._open.pop(key, b"") + self._decoder.payload(frame, at, flags)
        if flags & MORE_COMING:
            self._open[key] = payload
            return
        properties, body = decode_message(payload)
        profile = properties.pop("Profile", "")
        if kind == 0:
            self._count(profile, body)
        if self._write is not None and (profile not in _UNINTERESTING or kind == ERR):
            rest = " ".join(f"{k}={v}" for k, v in properties.items() if k not in _DULL)
            said = f"{profile or _KINDS[kind]} {number} {rest} {body.decode(errors='replace')}"
            if kind == 0 or body or rest:
                self._write(f"  {self._label}: {said}")

    def _count(self, profile: str, body: bytes) -> None:
        if profile in ("changes", "proposeChanges") and body in (b"[]", b"null", b""):
            profile += " (end)"
        self._counts[profile] += 1


_DULL = frozenset(
    {"maxHistory", "blobs", "deltas", "batch", "revocations", "versioning", "noconflicts"}
    | {"conflictIncludesRev", "sendReplacementRevs", "client", "collection"}
)

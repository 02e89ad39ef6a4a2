"""Counts the messages of settee's end of a sync, by what they are and what they hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import orjson
import pytest

from settee.blip.connection import Connection
from settee.blip.message import Request

__all__ = ["MessageCount"]


class MessageCount:
    """Requests in both directions while it watches: ``{"> rev": 3, "< changes": 1}``.

    ``>`` is what settee sent. Rows of `changes` and `proposeChanges` are counted apart, as
    ``"> changes rows"``.
    """

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.counts: Counter[str] = Counter()
        self.deltas: Counter[str] = Counter()
        """Those of them that hold only what changed."""
        send, receive = Connection.send_request, Connection.receive
        send_many = Connection.send_requests

        def sending(
            connection: Connection,
            token: object,
            properties: Mapping[str, str],
            body: bytes = b"",
            **more: Any,
        ) -> None:
            self._count(">", properties, body)
            send(connection, token, properties, body, **more)

        def sending_many(
            connection: Connection, requests: Iterable[tuple[object, list[str], bytes]]
        ) -> None:
            for _, words, body in requests:
                self._count(">", dict(zip(words[::2], words[1::2], strict=True)), body)
            send_many(connection, requests)

        def receiving(connection: Connection, frames: Iterable[bytes]) -> list[Any]:
            messages = receive(connection, frames)
            for message in messages:
                if isinstance(message, Request):
                    self._count("<", message.properties, bytes(message.body))
            return messages

        patch.setattr(Connection, "send_request", sending)
        patch.setattr(Connection, "send_requests", sending_many)
        patch.setattr(Connection, "receive", receiving)

    def _count(self, direction: str, properties: Mapping[str, str], body: bytes) -> None:
        profile = properties["Profile"]
        self.counts[f"{direction} {profile}"] += 1
        if "deltaSrc" in properties:
            self.deltas[f"{direction} {profile}"] += 1
        if profile in ("changes", "proposeChanges"):
            rows = orjson.loads(body) if body else None
            self.counts[f"{direction} {profile} rows"] += len(rows or [])

    def clear(self) -> None:
        """Begin again."""
        self.counts.clear()
        self.deltas.clear()

    @property
    def documents(self) -> dict[str, int]:
        """What a sync with nothing to do must not send."""
        talk = ("getCheckpoint", "getCollections", "setCheckpoint", "subChanges")
        quiet = {f"{direction} {name}" for direction in "<>" for name in talk}
        quiet |= {f"{direction} {name}" for direction in "<>" for name in _EMPTY}
        return {name: n for name, n in self.counts.items() if n and name not in quiet}


_EMPTY = ("changes", "proposeChanges")  # Without rows they say "that was all".

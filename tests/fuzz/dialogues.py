"""Targets that drive whole sessions: messages from an input, to a peer that must stay in order.

A find is whatever these raise: an error of ours in a session (it would be told as a bug), a store
that is not consistent any more, a session that goes on after the end, or holds too much.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from settee.blip.codec import Encoder
from settee.blip.frame import ERR, MORE_COMING, MSG, NO_REPLY, RPY, URGENT
from settee.blip.message import encode_message
from settee.clock import InlineWorkers
from settee.db.database import Database
from settee.errors import SetteeError, UsageError
from settee.limits import INBOUND_BYTES_MAX
from settee.peer.attach import attach
from settee.peer.passive import ListenerOptions, PassivePeer
from settee.peer.runtime import Runtime
from settee.sync.session import Session
from tests.fuzz.reading import Reading
from tests.simulation.links import link_pair
from tests.simulation.loop import VirtualClock, VirtualLoop
from tests.sync.peers import DEFAULT, ITEMS, Driven, MemoryStorage, active, blob_of, passive

__all__ = ["ActiveDialogue", "Files", "Handlers", "PassiveDialogue"]

PROFILES: Final = (
    "rev",
    "changes",
    "proposeChanges",
    "getCheckpoint",
    "setCheckpoint",
    "getCollections",
    "subChanges",
    "norev",
    "getAttachment",
    "proveAttachment",
    "unheardOf",
    "",
)
KEYS: Final = (
    "id",
    "rev",
    "sequence",
    "history",
    "deleted",
    "deltaSrc",
    "vector",
    "client",
    "collection",
    "since",
    "continuous",
    "activeOnly",
    "filter",
    "docIDs",
    "digest",
    "compress",
    "conflictIncludesRev",
    "versioning",
    "error",
    "noconflicts",
    "Error-Domain",
    "Error-Code",
    "maxHistory",
    "deltas",
    "blobs",
    "batch",
    "tree",
)
VALUES: Final = (
    "0",
    "1",
    "true",
    "doc-1",
    "doc-2",
    "1-aa",
    "2-bb",
    "3-cc",
    "2-bb,1-aa",
    "HTTP",
    "404",
    "cp-_default",
    "rev-trees",
    "a@",
    "version-vectors",
    "18ae5d8bc35d0000@AAAAAAAAAAAAAAAAAAAAAQ",
    "18ae5d8bc35d0000@AAAAAAAAAAAAAAAAAAAAAQ, 17ae5d8bc35d0000@BBBBBBBBBBBBBBBBBBBBBQ",
    "17ae5d8bc35d0000@BBBBBBBBBBBBBBBBBBBBBQ; 16ae5d8bc35d0000@CCCCCCCCCCCCCCCCCCCCCQ, 1-aa",
)
BODIES: Final = (
    b"",
    b"{}",
    b"[]",
    b'{"n":1}',
    b'[["doc-1","1-aa"],["doc-2","2-bb","1-aa"]]',
    b'[[1,"doc-1","1-aa"],[2,"doc-2","2-bb",0,9]]',
    b'[[],["1-aa"]]',
    b"[0,304,409]",
    b'[["doc-1","18ae5d8bc35d0000@AAAAAAAAAAAAAAAAAAAAAQ"]]',
    b'[[1,"doc-1","18ae5d8bc35d0000@AAAAAAAAAAAAAAAAAAAAAQ; 17ae@BBBBBBBBBBBBBBBBBBBBBQ"]]',
    b'{"checkpoint_ids":["cp-_default"],"collections":["_default"]}',
    b'{"checkpoint_ids":["a","b"],"collections":["_default","shop.items"]}',
    b'[{"rev":"1-cc","remote":3},{}]',
    b'{"local":7,"remote":"5:x"}',
    b'{"docIDs":["doc-1"]}',
    b'{"photo":{"@type":"blob","digest":"sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk=","length":3}}',
    b'{"_attachments":{"blob_/x":{"digest":"sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk="}}}',
)


def message_of(reading: Reading) -> tuple[dict[str, str], bytes]:
    """Make a message: its words mostly those of the protocol, its body too, but for a few bytes."""
    properties = {"Profile": PROFILES[reading.byte() % len(PROFILES)]}
    for _ in range(reading.byte() % 8):
        key = KEYS[reading.byte() % len(KEYS)]
        which = reading.byte()
        if which < 0xC0:
            properties[key] = VALUES[which % len(VALUES)]
        else:
            properties[key] = reading.take(which & 0x3F).decode("utf-8", "replace")
    which = reading.byte()
    if which < 0xC0:
        body = bytearray(BODIES[which % len(BODIES)])
        for _ in range(reading.byte() % 4):
            at, value = reading.byte(), reading.byte()
            if body:
                body[at % len(body)] = value
        return properties, bytes(body)
    return properties, reading.piece()


class _Sender:
    """Numbers and frames messages as a peer does, or nearly so."""

    def __init__(self) -> None:
        self._encoder = Encoder(1)
        self._number = 0

    def frames(self, reading: Reading) -> list[bytes]:
        """Return the frames of the next message of the input."""
        how = reading.byte()
        properties, body = message_of(reading)
        try:
            payload = encode_message(properties, body)
        except UsageError:
            return []
        if how & 3 == 3:  # An answer; to what, the input says.
            number, flags = reading.byte() % 24 + 1, ERR if how & 4 else RPY
        else:
            self._number += 1
            number, flags = self._number, MSG | (NO_REPLY if how & 8 else 0)
        if how & 16:
            flags |= URGENT
        if how & 32:
            flags |= 8
        if how & 64 and len(payload) > 1:
            cut = reading.byte() % len(payload)
            first = self._encoder.frame(number, flags | MORE_COMING, payload[:cut])
            return [first, self._encoder.frame(number, flags, payload[cut:])]
        return [self._encoder.frame(number, flags, payload)]


def _storage(letter: str) -> MemoryStorage:
    storage = MemoryStorage(letter, collections=2)
    storage.blobs[blob_of(b"foo")["digest"]] = b"foo"  # type: ignore[index]
    storage.save("doc-1", {"n": 1})
    storage.save("doc-2", {"photo": blob_of(b"foo")})
    storage.save("doc-3", {"text": "text " * 100})
    return storage


def _converse(driven: Driven, data: bytes) -> None:
    reading, sender = Reading(data), _Sender()
    session = driven.session
    while reading.more and driven.finished is None:
        what = reading.byte()
        if what & 0x3F == 0x3F:
            driven.elapse(float(reading.byte()))
        else:
            session.receive(sender.frames(reading), driven.now)
        driven._look()
        for _ in range(50):
            worked = driven.work()
            if not session.frames_to_send(65536) and not worked:
                break
        _check(session)
    session.abandon()


def _check(session: Session) -> None:
    assert session.inbound_bytes <= 2 * INBOUND_BYTES_MAX + 2**20
    assert session.next_deadline() is None or not session.is_finished


class PassiveDialogue:
    """A hostile active peer: any messages to a passive session."""

    def __call__(self, data: bytes) -> None:
        choice = data[0] if data else 0
        settee = choice >= 0x80
        level = 4 if choice & 0x40 else 3
        config = passive(DEFAULT, ITEMS, peer_is_settee=settee, deltas=True, level=level)
        _converse(Driven(config, _storage("p")), data[1:])


class ActiveDialogue:
    """A rogue passive peer: any messages and answers to an active session."""

    def __call__(self, data: bytes) -> None:
        choice = data[0] if data else 0
        config = active(
            *((DEFAULT, ITEMS) if choice & 1 else (DEFAULT,)),
            continuous=bool(choice & 2),
            peer_is_settee=bool(choice & 4),
            deltas=bool(choice & 8),
            level=4 if choice & 0x40 else 3,
        )
        driven = Driven(config, _storage("a"))
        driven.start()
        for _ in range(4):
            driven.work()
            driven.session.frames_to_send(65536)
        _converse(driven, data[1:])


class _Rig:
    """A real database with a listener, on virtual time; opened anew when it has grown."""

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="settee-fuzz-"))
        self.loop = VirtualLoop()
        self.clock = VirtualClock(self.loop, "fuzz")
        self.problems: list[Any] = []
        self.loop.set_exception_handler(lambda _, context: self.problems.append(context))
        self.runs = 0
        self._open()

    def _open(self) -> None:
        self.db = Database._open(
            self.directory / "live.settee",
            clock=self.clock,
            workers=InlineWorkers(),
            durability="memory",
        )
        self.runtime = Runtime(self.clock, InlineWorkers(), loop=self.loop)
        attach(self.db, self.runtime)
        collection = self.db.default_collection
        collection["doc-1"] = {"n": 1}
        collection["doc-3"] = {"text": "text " * 100}
        names = tuple(row.name for row in self.db._store.collections())
        options = ListenerOptions(path="db", collections=names, delta_sync=True)
        self.passive = PassivePeer(self.db, options, self.runtime)

    def anew(self) -> None:
        """Check that all is well, and begin with an empty database."""
        self.settle()
        assert self.db.check() == []
        self.db.close()
        shutil.rmtree(self.directory / "live.settee")
        self._open()

    def settle(self) -> None:
        self.loop.run_until_complete(asyncio.sleep(0.1))  # Virtual time: all that is under way.
        assert not self.problems, self.problems


class Handlers:
    """The handlers of a listener on a real database, which stays whole."""

    def __init__(self) -> None:
        self._rig = _Rig()

    def __call__(self, data: bytes) -> None:
        rig = self._rig
        rig.runs += 1
        mine, theirs = link_pair(rig.loop, str(rig.runs), user_agent="x/1", server="settee/sim")
        heard: list[list[bytes]] = []
        mine.attach(_Ears(heard.append))
        driver = rig.passive.accept(theirs)
        theirs.attach(driver)
        reading, sender = Reading(data), _Sender()
        while reading.more:
            driver.on_frames(sender.frames(reading))
            rig.settle()
            if driver.session.is_finished:
                break
        code = getattr(driver.error, "args", ("",))[0]
        assert "of settee's own" not in str(code), driver.error
        driver.end(1000, "enough")
        rig.settle()
        mine.cut()
        rig.settle()
        assert rig.passive.connections == ()
        if rig.runs % 500 == 0 or rig.db.default_collection.count() > 500:
            rig.anew()


class _Ears:
    def __init__(self, heard: Callable[[list[bytes]], None]) -> None:
        self.on_frames = heard

    def on_writable(self) -> None:
        pass

    def on_closed(self, info: object) -> None:
        pass


class Files:
    """A database whose file was changed by somebody: opened, read, checked, or refused."""

    def __init__(self) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="settee-fuzz-"))
        path = self._directory / "whole.settee"
        with Database("whole", directory=self._directory, durability="memory") as db:
            for n in range(20):
                db.default_collection[f"doc-{n}"] = {"n": n, "text": "text " * 10}
        self._whole = {each.name: each.read_bytes() for each in path.iterdir() if each.is_file()}

    def __call__(self, data: bytes) -> None:
        reading = Reading(data)
        place = self._directory / "broken.settee"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        for name, raw in self._whole.items():
            changed = bytearray(raw)
            if name == "db.sqlite3":
                while reading.more:
                    at = reading.number() << 8 | reading.byte()
                    piece = reading.take(reading.byte() % 16 + 1)
                    at %= len(changed)
                    changed[at : at + len(piece)] = piece
            (place / name).write_bytes(changed)
        try:
            with Database("broken", directory=self._directory, create=False) as db:
                for document in db.default_collection.documents():
                    document.to_dict()
                db.default_collection["new"] = {"n": 1}
                db.check()
        except SetteeError:
            pass

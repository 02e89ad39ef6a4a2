"""The bridge between two families of peers, live: ``python -m tests.interop.bridge --seed 1``.

Couchbase Lite 3.0 for Java knows revisions as trees. Sync Gateway at level 4, and a settee peer
that is held to what any peer of level 4 says, know them as version vectors. They meet only
through settee: through one peer ("line"), or through two that also sync with each other ("ring").
Everything runs continuously, and every end writes.

First only where the newest revision is: each edit must arrive everywhere, and no end may hear of a
conflict. Then everywhere at once: all ends must agree on one of the edits made last. At the end all
hold the same documents, blobs and versions, and nobody says anything any more.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import itertools
import logging
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Protocol

import pytest

from settee import (
    BasicAuthenticator,
    ListenerPasswordAuthenticator,
    NotFoundError,
    Replicator,
    TLSIdentity,
    URLEndpointListener,
)
from settee.doc.revision import version_text_of
from settee.net.link import PeerInfo
from settee.peer.versions import is_settee
from tests.interop.authority import Authority
from tests.interop.content import BlobSpec, Body, Seen, differences
from tests.interop.couchbase_lite import CouchbaseLite, make_trust_store
from tests.interop.counting import MessageCount
from tests.interop.ours import Ours
from tests.interop.pairs import CONFLICT, until
from tests.interop.place import java_peer_files
from tests.interop.soak import Errors, say
from tests.interop.sync_gateway import PROGRAM, USER, GatewayRefusedError, SyncGateway

__all__ = ["SHAPES", "BridgeError", "Fleet", "run"]

SHAPES: Final = {"line": 1, "ring": 2}
"""How many settee peers are between the families."""
IDS: Final = 40
PLAIN: Final = "PlainVectors/1"
AGREE_TIMEOUT_S: Final = 120
QUIET_S: Final = 5
QUIET_TIMEOUT_S: Final = 90
TOMBSTONE_TWICE: Final = "Calling deleteBody=true when the document is a tombstone"
"""What Sync Gateway's in-memory store says (500) if two peers bring one deletion at once."""
BRANCHES: Final = "Assertion failed: newRev->isConflict()"
"""What Couchbase Lite 3.0 says of a revision if it syncs with two peers and the other one has
brought it to another branch: it refuses, and takes what comes next."""


class BridgeError(Exception):
    """The run shows something that must not be."""


class End(Protocol):
    """A peer at which documents are written."""

    def save(self, documents: Mapping[str, Body]) -> None:
        """Save documents over what is there."""

    def delete(self, id: str) -> None:
        """Delete a document if it is there."""

    def dump(self) -> dict[str, Seen]:
        """Read all documents, their revisions by version."""


class JavaEnd:
    """Couchbase Lite for Java."""

    def __init__(self, process: CouchbaseLite, db: str) -> None:
        self._process: Final = process
        self._db: Final = db
        self._dialled: Final[list[str]] = []
        process.open(db)

    def dial(self, port: int, pin: bytes) -> None:
        """Sync with a settee peer from now on."""
        name = f"{self._db} to {port}"
        url = f"wss://127.0.0.1:{port}/ours"
        options: dict[str, Any] = {"continuous": True, "attempts": 0, "credentials": USER}
        self._process.start(self._db, url, pin=pin, name=name, **options)
        self._dialled.append(name)

    def save(self, documents: Mapping[str, Body]) -> None:
        self._process.save(self._db, documents)

    def delete(self, id: str) -> None:
        self._process.delete(self._db, [id], if_there=True)

    def dump(self) -> dict[str, Seen]:
        return {
            id: seen._replace(revision=version_text_of(seen.revision))
            for id, seen in self._process.dump(self._db).items()
        }

    def errors(self) -> list[str]:
        """Return what its document listeners were told as an error."""
        told = itertools.chain.from_iterable(map(self._process.told, self._dialled))
        return [f"{each['id']}: {each['code']}" for each in told if "code" in each]

    def close(self) -> None:
        for name in self._dialled:
            self._process.ask("stop", replicator=name)
            self._process.ask("wait", replicator=name, activity="STOPPED", timeout=30, timeout_s=40)
        self._process.ask("close", db=self._db)


class GatewayEnd:
    """Sync Gateway, over REST."""

    def __init__(self, process: SyncGateway) -> None:
        self._process: Final = process
        self._db: Final = process.create()
        self.url: Final = process.url(self._db)
        self.fingerprint: Final = process.identity.fingerprint

    def save(self, documents: Mapping[str, Body]) -> None:
        self._process.save(self._db, documents)

    def delete(self, id: str) -> None:
        self._process.delete(self._db, [id])

    def dump(self) -> dict[str, Seen]:
        for _ in range(20):
            with contextlib.suppress(GatewayRefusedError):  # A blob went while it was being read.
                return self._process.dump(self._db, by_version=True)
        return self._process.dump(self._db, by_version=True)


class SetteeEnd:
    """A settee peer: a bridge if it listens, else the plain peer of level 4."""

    def __init__(self, directory: Path, identity: TLSIdentity, *, listens: bool) -> None:
        self.ours: Final = Ours(directory, by_version=True)
        self.replicators: Final[list[Replicator]] = []
        self.errors: Final[list[str]] = []
        self._identity: Final = identity
        self.port = 0
        if listens:
            listener = URLEndpointListener(
                self.ours.db,
                host="127.0.0.1",
                port=0,
                tls_identity=identity,
                authenticator=ListenerPasswordAuthenticator(lambda *given: given == USER),
            )
            listener.on_documents(lambda _, event: self._note(event))
            listener.start()
            self.port = listener.port

    def dial(self, url: str, fingerprint: str, **options: Any) -> None:
        """Sync with a peer from now on."""
        replicator = Replicator(
            self.ours.db,
            url,
            continuous=True,
            authenticator=BasicAuthenticator(*USER),
            pinned_server_certificate=fingerprint,
            **options,
        )
        replicator.on_documents(self._note)
        replicator.start()
        self.replicators.append(replicator)

    def _note(self, event: Any) -> None:
        self.errors.extend(
            f"{each.doc_id}: {each.error}" for each in event.documents if each.error is not None
        )

    def save(self, documents: Mapping[str, Body]) -> None:
        self.ours.save(documents)

    def delete(self, id: str) -> None:
        with contextlib.suppress(NotFoundError):
            self.ours.delete([id])

    def dump(self) -> dict[str, Seen]:
        return self.ours.dump()


@contextlib.contextmanager
def plain_peer(port: int) -> Iterator[None]:
    """Have the peer that says PLAIN and who it dials at `port` not take each other for settee."""

    def dialled(peer: PeerInfo) -> bool:
        return is_settee(peer) and PLAIN not in peer.user_agent

    def dialling(peer: PeerInfo) -> bool:
        return is_settee(peer) and peer.port != port

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("settee.peer.passive.is_settee", dialled)
        patch.setattr("settee.peer.active.is_settee", dialling)
        yield


class Fleet:
    """All ends of one run, connected."""

    def __init__(
        self, shape: str, directory: Path, java: CouchbaseLite, gateway: SyncGateway, seed: int
    ) -> None:
        self._random: Final = random.Random(seed)
        self._closing: Final = contextlib.ExitStack()
        self._numbers: Final = itertools.count(1)
        self.expected: Final[dict[str, int]] = {}
        """The edit that a document was last made by, of those that are there."""
        identity = gateway.identity
        bridges = []
        for n in range(SHAPES[shape]):
            bridges.append(SetteeEnd(directory / f"bridge{n}", identity, listens=True))
            self._closing.callback(bridges[-1].ours.db.close)
        first, last = bridges[0], bridges[-1]
        plain = SetteeEnd(directory / "plain", identity, listens=False)
        self._closing.callback(plain.ours.db.close)
        self._closing.enter_context(plain_peer(first.port))
        self._java: Final = JavaEnd(java, directory.name.replace("_", "-"))
        self._closing.callback(self._java.close)
        server = GatewayEnd(gateway)
        for each in bridges:
            self._java.dial(each.port, identity.certificate_der)
            each.dial(server.url, server.fingerprint)
        if last is not first:  # Nobody else dials the last one but as settee.
            first.dial(f"wss://127.0.0.1:{last.port}/ours", identity.fingerprint)
        plain.dial(f"wss://127.0.0.1:{first.port}/ours", identity.fingerprint, user_agent=PLAIN)
        self._settee: Final = {f"bridge {n}": each for n, each in enumerate(bridges)}
        self._settee["level 4"] = plain
        self.ends: Final[dict[str, End]] = {
            "java": self._java,
            "gateway": server,
            **self._settee,
        }

    def close(self) -> None:
        """End all but the processes."""
        self._closing.close()

    # --- edits ------------------------------------------------------------------------------------

    def _edit(self, name: str, id: str) -> int | None:
        """Make one edit at an end; return its number, None for a deletion."""
        chance = self._random
        if chance.random() < 0.15:
            self.ends[name].delete(id)
            return None
        number = next(self._numbers)
        body: dict[str, Any] = {"edit": number, "by": name, "text": "ä" * chance.randrange(300)}
        if chance.random() < 0.2:
            # No content twice: see docs/compatibility.md for a blob that comes back.
            size = chance.choice([0, 1000, 30_000, 200_000]) + number
            body["blob"] = BlobSpec(size, chance.randrange(50))
        self.ends[name].save({id: body})
        return number

    def _some_ids(self, count: int) -> list[str]:
        return [f"doc-{n:02}" for n in self._random.sample(range(IDS), count)]

    def edit_in_turn(self, count: int) -> None:
        """Edit different documents, each at one end, and wait until every end has all of it."""
        for id in self._some_ids(count):
            number = self._edit(self._random.choice(list(self.ends)), id)
            self._expect(id, number)
        self.agree("an edit of the newest revision was lost, or came not everywhere")

    def _expect(self, id: str, number: int | None) -> None:
        if number is None:
            self.expected.pop(id, None)
        else:
            self.expected[id] = number

    def edit_at_once(self, count: int) -> int:
        """Edit documents at several ends each; return how many edits that made."""
        choices: dict[str, list[int | None]] = {}
        made = 0
        for id in self._some_ids(count):
            names = self._random.sample(list(self.ends), self._random.choice([1, 2, 2, 3]))
            names *= self._random.choice([1, 1, 2])
            edits = [self._edit(name, id) for name in names]
            # Of one author only the last may win. Where there are more, a resolution may bring an
            # earlier one to an end that has gone on from it: then it is a true conflict again.
            choices[id] = edits[-1:] if len(set(names)) == 1 else edits
            made += len(names)
        self._agree_on_one(choices)
        return made

    def _agree_on_one(self, choices: Mapping[str, list[int | None]]) -> None:
        """Wait until all ends hold the same, each document as one of these edits made it."""
        until(lambda: not self.apart(), AGREE_TIMEOUT_S)
        seen = self.ends["java"].dump()
        for id, edits in choices.items():
            number = seen[id].body["edit"] if id in seen else None
            if number not in edits:
                raise BridgeError(f"{id} ended as edit {number}, none of {edits}")
            self._expect(id, number)
        self.agree("the ends differ after conflicts")

    # --- what is looked at ------------------------------------------------------------------------

    def apart(self) -> list[str]:
        """Compare all ends with the first, and revisions by version."""
        seen = {name: end.dump() for name, end in self.ends.items()}
        java = seen.pop("java")
        return [
            f"java and {name}: {each}"
            for name, dump in seen.items()
            for each in differences(java, dump)
        ]

    def _wrong(self) -> list[str]:
        found = {id: seen.body["edit"] for id, seen in self.ends["java"].dump().items()}
        wrong = [
            f"{id} is edit {found.get(id)} at java, not {self.expected.get(id)}"
            for id in sorted(found.keys() | self.expected.keys())
            if found.get(id) != self.expected.get(id)
        ]
        return wrong or self.apart()

    def agree(self, complaint: str) -> None:
        """Wait until every end holds just what is expected. Raises BridgeError."""
        if not until(lambda: not self._wrong(), AGREE_TIMEOUT_S):
            raise BridgeError("\n".join([complaint, *self._wrong(), *self.errors()]))

    def errors(self) -> list[str]:
        """Return what the applications at the ends were told of as an error."""
        told = {"java": self._java.errors()}
        told |= {name: each.errors for name, each in self._settee.items()}
        return [f"{name}: {each}" for name, errors in told.items() for each in errors]


def wait_until_quiet(messages: MessageCount) -> float:
    """Wait until nobody says anything for QUIET_S; return how long that took, in seconds."""
    began = time.monotonic()
    heard_at = began
    before = -1
    while time.monotonic() - heard_at < QUIET_S:
        count = messages.counts.total()
        if count != before:
            before, heard_at = count, time.monotonic()
        if heard_at - began > QUIET_TIMEOUT_S:
            raise BridgeError(f"never quiet: {dict(messages.counts)}")
        time.sleep(0.05)
    return heard_at - began


def run(fleet: Fleet, messages: MessageCount, edits: int) -> None:
    """Make the edits, half of them in turn, and look. Raises BridgeError for what is wrong."""
    began = time.monotonic()
    in_turn = 0
    while in_turn < edits // 2:
        count = min(10, edits // 2 - in_turn)
        fleet.edit_in_turn(count)
        in_turn += count
    errors = [each for each in fleet.errors() if TOMBSTONE_TWICE not in each]
    if errors:
        raise BridgeError("\n".join(["a conflict was told of where there was none", *errors]))
    at_once_s = time.monotonic() - began
    at_once = 0
    while at_once < edits - in_turn:
        at_once += fleet.edit_at_once(8)
    quiet_s = wait_until_quiet(messages)
    fleet.agree("later")
    errors = fleet.errors()
    counts = collections.Counter(_kind(each) for each in errors)
    say(
        f"{in_turn} edits in turn in {at_once_s:.0f} s, {at_once} at once in "
        f"{time.monotonic() - began - at_once_s:.0f} s; {len(fleet.expected)} documents are left "
        f"at {len(fleet.ends)} ends; quiet {quiet_s:.1f} s after they agreed; "
        f"errors told of: {dict(counts)}; messages: {dict(messages.counts)}"
    )
    if counts["other"]:
        raise BridgeError("\n".join(["errors were told of", *errors]))


def _kind(error: str) -> str:
    """Tell what an application was told of, when documents were edited at several ends at once."""
    if error.endswith(f": {CONFLICT}"):
        return "conflict"
    if TOMBSTONE_TWICE in error:
        return "deletion brought twice"
    return "branches" if error.endswith(": 1") or BRANCHES in error else "other"


def main(arguments: list[str]) -> int:
    """Run each shape; return 1 if something is wrong."""
    parser = argparse.ArgumentParser(prog="tests.interop.bridge", description=__doc__)
    parser.add_argument("--edits", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--shape", choices=[*SHAPES], action="append")
    options = parser.parse_args(arguments)
    if not PROGRAM:
        say("SETTEE_SYNC_GATEWAY names no program: see docs/compatibility.md")
        return 2
    errors = Errors()
    logging.getLogger("settee").addHandler(errors)
    failed = False
    for shape in options.shape or SHAPES:
        say(f"{shape}: seed {options.seed}, {options.edits} edits")
        with (
            tempfile.TemporaryDirectory(prefix="settee-", ignore_cleanup_errors=True) as name,
            contextlib.ExitStack() as stack,
        ):
            directory = Path(name)
            make_trust_store(directory / "roots", Authority().pem)
            gateway = SyncGateway(PROGRAM, directory / "gateway", TLSIdentity.anonymous())
            stack.callback(gateway.close)
            java = CouchbaseLite(java_peer_files(), directory / "java", directory / "roots")
            stack.callback(java.close)
            messages = MessageCount(stack.enter_context(pytest.MonkeyPatch.context()))
            fleet = Fleet(shape, directory, java, gateway, options.seed)
            stack.callback(fleet.close)
            try:
                run(fleet, messages, options.edits)
                if errors.found:
                    raise BridgeError("\n".join(["logged", *errors.found]))
            except BridgeError as exc:
                say(f"FAILED ({shape}, seed {options.seed})\n{exc}")
                failed = True
            else:
                say("ok")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

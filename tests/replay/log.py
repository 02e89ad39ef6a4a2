"""Reads the log of a recorded scenario: what was in both databases, when, and what came of it.

A log tells, in the order in which it happened: each command that made or changed a document before
a sync (with the revision ID it got), each sync with what the active peer reported, what was edited
at either end while a sync was live, and a dump of both databases at the end.

Of a database with version vectors a revision ID is a version, and the database's own author is
written ``*``; who that is the dumps tell. Here every version has its author's name.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from typing import Any, Final, Literal, NamedTuple

__all__ = [
    "Dumped",
    "Edit",
    "Failed",
    "Key",
    "Log",
    "LogError",
    "Replicated",
    "Side",
    "Sync",
    "canonical",
    "parse_log",
]

Side = Literal["srv", "cli"]
"""The passive peer's database and the active peer's."""

_NAME: Final = r"\d+-[0-9a-f]{40}|[0-9a-f]+@(?:\*|[A-Za-z0-9+/]{22})"
_VERSION: Final = re.compile(r"[0-9a-f]+@[A-Za-z0-9+/]{22}")
_OWN: Final = "@*"

_REVISION: Final = re.compile(rf"(\S+) ({_NAME})(?: (.*))?")
_TIMED: Final = re.compile(r"\[ *\d+\.\d+\] (.*)")
_EVENT: Final = re.compile(
    rf"active (push|pull) doc (ERROR )?(\S+) ({_NAME})(?:; .*)? flags=([0-9a-f]+) (\S+)"
)
_RESULT: Final = re.compile(
    r"RESULT elapsed=\S+ docs=(\d+) docErrors=(\d+) error=.*\(domain (\d+) code (\d+)\).*"
)
_CONFLICTED: Final = 0x20
"""Flag of a revision that was stored as a branch beside the current one."""


class LogError(ValueError):
    """A log that does not say what it should."""


class Key(NamedTuple):
    """One revision of one document."""

    collection: str
    doc_id: str
    tid: str


class Edit(NamedTuple):
    """A revision that was made at one end, not received."""

    side: Side
    collection: str
    doc_id: str
    tid: str
    deleted: bool
    body: dict[str, Any]

    @property
    def key(self) -> Key:
        return Key(self.collection, self.doc_id, self.tid)


class Replicated(NamedTuple):
    """A document that the active peer reported as pushed or pulled; into a conflict, too."""

    direction: str
    """``"push"`` or ``"pull"``."""
    doc_id: str
    tid: str


class Failed(NamedTuple):
    """A document that the active peer reported as not pushed, or as being in a conflict."""

    direction: str
    doc_id: str
    tid: str
    error: str
    """Domain and code, such as ``"WebSocket/409"``."""


class Sync(NamedTuple):
    """One run of the active peer's replicator: one connection."""

    push: bool
    pull: bool
    continuous: bool
    deltas: bool
    """Whether the active peer takes and sends deltas."""
    live_edits: tuple[Edit, ...]
    """What was edited at either end while it ran, in this order."""
    replicated: frozenset[Replicated]
    failed: frozenset[Failed]
    error: tuple[int, int] | None
    """Domain and code with which it ended; None if it ended well."""


class Dumped(NamedTuple):
    """One document at the end."""

    tid: str
    deleted: bool
    body: str
    """As canonical JSON."""
    tree: tuple[str, ...]
    """All revision IDs that the database remembers, the current one first; with version vectors,
    the versions in the vector, and that of a branch beside it."""
    conflicted: bool


class Log(NamedTuple):
    """A whole scenario."""

    authors: dict[Side, str]
    """Who `*` is, where a version in a dump tells."""

    steps: tuple[Edit | Sync, ...]
    final: dict[Side, dict[tuple[str, str], Dumped]]
    """By side, then by collection and document ID."""
    bodies: dict[Key, dict[str, Any]]
    """Of every revision that the log tells of."""


def canonical(body: dict[str, Any]) -> str:
    """Write a body with sorted keys and without spaces, as the dumps do."""
    return json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


class _Draft(NamedTuple):
    """An edit whose body the log may tell only later, in a dump."""

    side: Side
    collection: str
    doc_id: str
    tid: str
    deleted: bool
    body: dict[str, Any] | None


class _Running:
    """A sync whose result is still to come."""

    def __init__(self, arguments: list[str]) -> None:
        self.arguments = arguments
        self.edits: list[_Draft] = []
        self.replicated: set[Replicated] = set()
        self.failed: set[Failed] = set()
        self.error: tuple[int, int] | None = None
        self.ended = False


class _Loaded(NamedTuple):
    """A file of documents that was loaded; which ones they were, the dump tells."""

    side: Side


class _Parser:
    def __init__(self, text: str) -> None:
        self.lines = text.splitlines()
        self.at = 0
        self.steps: list[_Draft | _Running | _Loaded] = []
        self.running: _Running | None = None
        self.local: tuple[Side, list[str]] | None = None
        """The command whose ``local put`` comes next."""
        self.dumps: dict[Side, list[dict[str, Any]]] = {}
        self.authors: Final = _authors(self.lines)
        self.versions: Final = frozenset(_VERSION.findall(text))

    def parse(self) -> Log:
        while self.at < len(self.lines):
            line = self.lines[self.at]
            self.at += 1
            if line.startswith("--- "):
                self._command(line[4:])
            elif line.startswith("RESULT "):
                self._result(line)
            elif timed := _TIMED.fullmatch(line):
                self._timed(timed[1])
        if self.dumps.keys() != {"srv", "cli"}:
            raise LogError(f"dumps of {sorted(self.dumps)}, not of both databases")
        for step in self.steps:
            if isinstance(step, _Running) and not step.ended:
                raise LogError(f"no RESULT for the sync {step.arguments}")
        return self._finished()

    # --- lines ------------------------------------------------------------------------------------

    def _command(self, line: str) -> None:
        if line.startswith("peer "):
            self._peer(line)
        elif line.startswith("server-side: "):
            self.local = ("srv", _words(line.removeprefix("server-side: ")))
        elif line.startswith("client-side "):
            self.local = ("cli", _words(line.removeprefix("client-side ")))
        elif line.startswith("sync"):
            self.running = _Running(shlex.split(line.replace("(live)", ""))[1:])
            self.steps.append(self.running)
        elif line.startswith("final dump "):
            self._dump(_side_of(line.removeprefix("final dump ")))
        else:
            raise LogError(f"an unknown command: {line!r}")

    def _peer(self, line: str) -> None:
        _, verb, database, *rest = _words(line)
        side = _side_of(database)
        if verb == "load":
            self.steps.append(_Loaded(side))
            return
        answer = _REVISION.fullmatch(self.lines[self.at])
        if answer is None or answer[1] != rest[0]:
            raise LogError(f"no revision ID after {line!r}")
        self.at += 1
        collection = rest[rest.index("--collection") + 1] if "--collection" in rest else "_default"
        body: dict[str, Any]
        if verb == "put":
            body = json.loads(rest[1])
        elif verb == "attach":
            body = json.loads(answer[3])
        elif verb == "rm":
            body = {}
        else:
            raise LogError(f"an unknown command: {line!r}")
        tid = self._name(side, answer[2])
        self.steps.append(_Draft(side, collection, rest[0], tid, verb == "rm", body))

    def _timed(self, line: str) -> None:
        words = line.split(" ")
        if words[0] == "local":
            self._local(words[1], words[2], words[3])
        elif event := _EVENT.match(line):
            if self.running is None:
                raise LogError(f"no sync runs: {line!r}")
            direction, error, doc_id, tid, flags, detail = event.groups()
            tid = self._name("cli", tid)
            if error:
                self.running.failed.add(Failed(direction, doc_id, tid, detail))
            if not error or int(flags, 16) & _CONFLICTED:
                self.running.replicated.add(Replicated(direction, doc_id, tid))

    def _local(self, verb: str, doc_id: str, tid: str) -> None:
        """Take an edit in a running peer; one without a command before it is the active peer's."""
        side, words = self.local or ("cli", [verb, doc_id])
        self.local = None
        if words[:2] != [verb, doc_id]:
            raise LogError(f"{verb} {doc_id} after the command {words}")
        body = json.loads(words[2]) if len(words) > 2 else ({} if verb == "rm" else None)
        draft = _Draft(side, "_default", doc_id, self._name(side, tid), verb == "rm", body)
        (self.steps if self.running is None else self.running.edits).append(draft)

    def _result(self, line: str) -> None:
        match = _RESULT.fullmatch(line)
        if match is None or self.running is None:
            raise LogError(f"a result of no use: {line!r}")
        docs, errors, domain, code = map(int, match.groups())
        running, self.running = self.running, None
        counted = len(running.replicated), len(running.failed)
        if counted != (docs, errors):
            raise LogError(f"{counted} documents and errors were told of, but {line!r}")
        running.error = (domain, code) if code else None
        running.ended = True

    def _dump(self, side: Side) -> None:
        rows: list[dict[str, Any]] = []
        while self.at < len(self.lines) and self.lines[self.at].startswith("{"):
            row = json.loads(self.lines[self.at])
            row["rev"] = self._name(side, row["rev"])
            row["revs"] = [self._name(side, tid) for tid, _ in row["revs"]]
            row["body"] = row["body"] or {}  # Null, of a tombstone among versions.
            rows.append(row)
            self.at += 1
        self.dumps[side] = rows

    def _name(self, side: Side, text: str) -> str:
        """Return a revision ID with its author's name."""
        if not text.endswith(_OWN):
            return text
        if side not in self.authors:  # Its database was made anew: the other end tells.
            other = next((v for v in self.versions if v.startswith(text[:-1])), None)
            if other is None:
                raise LogError(f"nothing tells who wrote {text!r} at {side}")
            self.authors[side] = other.partition("@")[2]
        return text[:-1] + self.authors[side]

    # --- at the end -------------------------------------------------------------------------------

    def _finished(self) -> Log:
        bodies: dict[Key, dict[str, Any]] = {}
        final: dict[Side, dict[tuple[str, str], Dumped]] = {}
        for side, rows in self.dumps.items():
            final[side] = {}
            for row in rows:
                collection = row.get("collection", "_default")
                bodies[Key(collection, row["id"], row["rev"])] = row["body"]
                final[side][collection, row["id"]] = Dumped(
                    row["rev"],
                    row["deleted"],
                    canonical(row["body"]),
                    _remembered(row),
                    row.get("conflicted", False),
                )
        for draft in self._drafts():
            if draft.body is not None:
                bodies[Key(draft.collection, draft.doc_id, draft.tid)] = draft.body
        steps: list[Edit | Sync] = []
        for step in self.steps:
            if isinstance(step, _Running):
                steps.append(self._sync(step, bodies))
            elif isinstance(step, _Loaded):
                steps.extend(self._loaded(step.side))
            else:
                steps.append(_edit(step, bodies))
        return Log(self.authors, tuple(steps), final, bodies)

    def _drafts(self) -> Iterator[_Draft]:
        for step in self.steps:
            if isinstance(step, _Draft):
                yield step
            elif isinstance(step, _Running):
                yield from step.edits

    def _sync(self, running: _Running, bodies: dict[Key, dict[str, Any]]) -> Sync:
        arguments = running.arguments
        return Sync(
            "--push" in arguments,
            "--pull" in arguments,
            "--continuous" in arguments,
            "--no-delta" not in arguments,
            tuple(_edit(draft, bodies) for draft in running.edits),
            frozenset(running.replicated),
            frozenset(running.failed),
            running.error,
        )

    def _loaded(self, side: Side) -> Iterator[Edit]:
        for row in sorted(self.dumps[side], key=lambda row: row["seq"]):
            collection = row.get("collection", "_default")
            yield Edit(side, collection, row["id"], row["rev"], row["deleted"], row["body"])


def _edit(draft: _Draft, bodies: dict[Key, dict[str, Any]]) -> Edit:
    key = Key(draft.collection, draft.doc_id, draft.tid)
    if key not in bodies:
        raise LogError(f"no body of {key}")
    return Edit(draft.side, *key, draft.deleted, bodies[key])


def _remembered(row: dict[str, Any]) -> tuple[str, ...]:
    """Return all revisions that a dump shows of a document, the current one first."""
    if "global" not in row:
        return tuple(row["revs"])
    branch = row["revs"][1:2] if row.get("conflicted") else ()
    return (*_versions(row["global"]), *branch)


def _versions(vector: str) -> list[str]:
    return re.split(r"[,;] ?", vector)


def _authors(lines: list[str]) -> dict[Side, str]:
    """Return who `*` is on either side: the dumps write a vector with it and without."""
    authors: dict[Side, str] = {}
    side: Side = "srv"
    for line in lines:
        if line.startswith("--- final dump "):
            side = _side_of(line)
        elif line.startswith("{") and '"global"' in line:
            row = json.loads(line)
            for own, named in zip(_versions(row["vector"]), _versions(row["global"]), strict=True):
                author = named.partition("@")[2]
                if own.endswith(_OWN) and authors.setdefault(side, author) != author:
                    raise LogError(f"{side} is {authors[side]} and {author}")
    return authors


def _side_of(database: str) -> Side:
    side = database.rpartition("-")[2]
    if side == "srv":
        return "srv"
    if side == "cli":
        return "cli"
    raise LogError(f"whose database is {database!r}?")


def _words(command: str) -> list[str]:
    """Split a command, whose JSON has spaces but no quotes around it."""
    start = command.find("{")
    if start < 0:
        return command.split()
    end = command.rindex("}") + 1
    return [*command[:start].split(), command[start:end], *command[end:].split()]


def parse_log(text: str) -> Log:
    """Read a log. Raises LogError if it is not one, or contradicts itself."""
    return _Parser(text).parse()

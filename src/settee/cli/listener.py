"""``settee listen``: the passive peer."""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import queue
import sys
import warnings
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from settee import (
    Database,
    HashedUsers,
    ListenerConnection,
    ListenerPasswordAuthenticator,
    Refusal,
    TLSIdentity,
    URLEndpointListener,
)
from settee.cli.credentials import (
    PasswordFileOption,
    PasswordOption,
    UserOption,
    bundle_password,
    password_of,
)
from settee.cli.database import DatabaseArgument, JsonOption, collection_in, opened
from settee.cli.exits import ended_by_signals
from settee.cli.render import line, notice, show_json
from settee.clock import SystemClock
from settee.errors import ConfigError
from settee.identity.vault import default_directory

__all__ = ["listen"]

_WAKE_S: Final = 0.5
"""So often a wait without end lets Ctrl-C in, on systems where a wait can't be interrupted."""

UsersOption = Annotated[
    Path | None,
    typer.Option("--users", metavar="FILE", help="File of users with hashed passwords."),
]
AnonymousOption = Annotated[
    bool, typer.Option("--anonymous", help="Let in everybody who can reach this machine.")
]
PortOption = Annotated[
    int,
    typer.Option(
        "--port",
        "-p",
        min=0,
        max=65535,
        show_default=False,
        help="Port; by default the one of last time if it is free, else any.",
    ),
]
HostOption = Annotated[
    str | None,
    typer.Option("--host", metavar="ADDRESS", help="Only at this address (default: all)."),
]
CollectionsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--collection", "-c", metavar="NAME", help="Only this collection; may be repeated."
    ),
]
ReadOnlyOption = Annotated[bool, typer.Option("--read-only", help="Peers may pull, not push.")]
AdvertiseOption = Annotated[
    bool, typer.Option("--advertise", help="Announce this device on the network (DNS-SD).")
]
NameOption = Annotated[
    str | None,
    typer.Option("--name", metavar="NAME", help="Announce it, under this name."),
]
IdentityOption = Annotated[
    str,
    typer.Option(
        "--identity",
        metavar="LABEL",
        help="Use the certificate kept under this label; made at the first use.",
    ),
]
BundleOption = Annotated[
    Path | None,
    typer.Option("--pkcs12", metavar="FILE", help="Use certificate and key of this bundle."),
]
NoTlsOption = Annotated[
    bool, typer.Option("--no-tls", help="Plain text: whoever is between can read along.")
]
PlaintextOption = Annotated[
    bool,
    typer.Option(
        "--plaintext-passwords", help="With --no-tls: take passwords from other machines, too."
    ),
]


def listen(
    name: DatabaseArgument,
    user: UserOption = None,
    password: PasswordOption = None,
    password_file: PasswordFileOption = None,
    users: UsersOption = None,
    anonymous: AnonymousOption = False,
    port: PortOption = 0,
    host: HostOption = None,
    collection: CollectionsOption = None,
    read_only: ReadOnlyOption = False,
    advertise: AdvertiseOption = False,
    advertised_name: NameOption = None,
    identity: IdentityOption = "settee",
    pkcs12: BundleOption = None,
    no_tls: NoTlsOption = False,
    plaintext_passwords: PlaintextOption = False,
    as_json: JsonOption = False,
) -> None:
    """Let peers sync with a database, until Ctrl-C.

    Makes the database if it is missing. A peer needs the address, a user and a password. It may
    accept the certificate at the first meeting (--self-signed) or, better, be given the fingerprint
    that is shown here (--pin).
    """
    options: dict[str, Any] = {
        "host": host,
        "collections": collection or None,
        "read_only": read_only,
        "advertise": advertised_name or advertise,
        "tls": not no_tls,
        "tls_identity": None if no_tls else _identity(identity, pkcs12),
        "authenticator": _authenticator(user, password, password_file, users, anonymous),
        "allow_anonymous": anonymous,
        "allow_plaintext_passwords": plaintext_passwords,
    }
    with ended_by_signals(), opened(name, create=True) as db:
        for each in collection or ():
            collection_in(db, each, create=True)
        kept = _KeptPort(db.path)
        listener = _started(db, port, kept, options)
        shown = _ListenerLog(listener, as_json=as_json)
        try:
            kept.write(listener.port)
            _show_until_the_end(shown)
        finally:
            listener.stop()
            shown.look()


def _authenticator(
    user: str | None,
    password: str | None,
    password_file: str | None,
    users: Path | None,
    anonymous: bool,
) -> ListenerPasswordAuthenticator | None:
    if anonymous:
        if user is not None or users is not None:
            raise ConfigError("--anonymous", "give it or users, not both")
        return None
    if user is None and users is None:
        raise ConfigError(
            "--user",
            "say who may sync: --user NAME (with a password), --users FILE, "
            "or --anonymous for everybody",
        )
    table = HashedUsers() if users is None else HashedUsers.load(users)
    if user is not None:
        table.add(user, password_of(user, given=password, file=password_file))
    return ListenerPasswordAuthenticator(table)


def _identity(label: str, bundle: Path | None) -> TLSIdentity:
    if bundle is None:
        return TLSIdentity.self_signed(label)
    data = bundle.read_bytes()
    return TLSIdentity.from_pkcs12(data, bundle_password(bundle))


class _KeptPort:
    """Remembers the port of a database's listener, so that peers find it after a restart."""

    def __init__(self, database: Path) -> None:
        key = hashlib.sha256(str(database.resolve()).encode()).hexdigest()[:16]
        self._file = default_directory().parent / "ports" / key

    def read(self) -> int:
        """Return the port of last time, 0 if there was none."""
        try:
            port = int(self._file.read_text(encoding="ascii"))
        except (OSError, ValueError):
            return 0
        return port if 0 < port < 65536 else 0

    def write(self, port: int) -> None:
        """Remember `port`. Failing to is no reason not to listen."""
        with contextlib.suppress(OSError):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            self._file.write_text(str(port), encoding="ascii")


def _started(
    db: Database, port: int, kept: _KeptPort, options: dict[str, Any]
) -> URLEndpointListener:
    """Start listening at `port`, or at that of last time, or at any."""
    wanted = port or kept.read()
    try:
        return _listener(db, wanted, options)
    except ConfigError as error:
        if port or not wanted or error.field != "port":
            raise
        # The port of last time was only a wish: somebody else has it now.
        return _listener(db, 0, options)


def _listener(db: Database, port: int, options: dict[str, Any]) -> URLEndpointListener:
    with warnings.catch_warnings():
        # What the library warns of is said by the option's own help.
        warnings.simplefilter("ignore")
        listener = URLEndpointListener(db, port=port, **options)
    listener.start()
    return listener


class _ListenerLog:
    """Says where the listener is, and who comes, goes and is refused."""

    def __init__(self, listener: URLEndpointListener, *, as_json: bool) -> None:
        self._listener = listener
        self._as_json = as_json
        self._clock = SystemClock()
        self._present: dict[ListenerConnection, tuple[str, str]] = {}
        self._news: queue.SimpleQueue[tuple[ListenerConnection, ...] | Refusal] = (
            queue.SimpleQueue()
        )
        # It calls from a thread of its own; what is said is said by one thread. Who is there is
        # read at once: a short visit is over when the other thread comes to it.
        listener.on_refused(self._news.put)
        listener.on_status(lambda _: self._news.put(listener.connections))

    def begin(self) -> None:
        """Show the addresses and the certificate."""
        identity = self._listener.tls_identity
        fingerprint = identity.fingerprint if identity is not None else ""
        if self._as_json:
            show_json(
                {
                    "event": "listening",
                    "urls": list(self._listener.urls),
                    "port": self._listener.port,
                    "fingerprint": fingerprint,
                }
            )
            return
        for url in self._listener.urls:
            line(f"Listening on  {url}")
        if fingerprint:
            line(f"Fingerprint   {fingerprint}")
        notice("Ctrl-C stops.")

    def look(self, wait_s: float = 0.0) -> None:
        """Say what has happened; wait so long for something to happen."""
        with contextlib.suppress(queue.Empty):
            news = self._news.get(timeout=wait_s) if wait_s else self._news.get_nowait()
            while True:
                if isinstance(news, Refusal):
                    self._say("refused", "", news.address, news.reason)
                else:
                    self._compare(news)
                news = self._news.get_nowait()

    def _compare(self, connections: tuple[ListenerConnection, ...]) -> None:
        present = {each: (each.user or "", each.address) for each in connections}
        for each in present.keys() - self._present.keys():
            self._say("connected", *present[each])
        for each in self._present.keys() - present.keys():
            sent, received = each.progress.pushed, each.progress.pulled
            self._say("disconnected", *self._present[each], f"sent {sent:,}, received {received:,}")
        self._present = present

    def names(self) -> str:
        """Return who is connected, for a person."""
        return ", ".join(
            f"{user} ({address})" if user else address for user, address in self._present.values()
        )

    def _say(self, event: str, user: str, address: str, more: str = "") -> None:
        if self._as_json:
            told = {"event": event, "user": user, "address": address, "more": more}
            show_json({key: value for key, value in told.items() if value})
            return
        now = datetime.datetime.fromtimestamp(self._clock.wall_ns() / 1e9).astimezone()
        who = f"{user} from {address}" if user else address
        line(f"{now:%H:%M:%S}  {event:<12}  {who}" + (f": {more}" if more else ""))


def _show_until_the_end(shown: _ListenerLog) -> None:
    """Show what happens until Ctrl-C or a request to terminate."""
    has_begun = False
    while True:
        try:
            if not has_begun:
                has_begun = True
                shown.begin()
            while True:
                shown.look(_WAKE_S)
        except KeyboardInterrupt:
            shown.look()
            if _may_stop(shown):
                return


def _may_stop(shown: _ListenerLog) -> bool:
    """Ask a person who would cut off others; nobody else."""
    names = shown.names()
    if not names or not sys.stdin.isatty():
        return True
    try:
        return typer.confirm(f"Connected: {names}. Stop?", default=True, err=True)
    except (typer.Abort, KeyboardInterrupt):
        return True

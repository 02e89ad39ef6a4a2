"""``settee push``, ``pull`` and ``sync``: the active peer."""

from __future__ import annotations

import warnings
from typing import Annotated, Any, Final

import typer

from settee import BasicAuthenticator, Database, PeerFound, Replicator, ReplicatorStatus
from settee.cli.credentials import PasswordFileOption, PasswordOption, UserOption, password_of
from settee.cli.database import DatabaseArgument, JsonOption, collection_in, opened
from settee.cli.discovery import find
from settee.cli.exits import ExitCode, ended_by_signals
from settee.cli.render import (
    SyncView,
    bytes_text,
    documents_text,
    line,
    notice,
    problem,
    show_json,
)
from settee.clock import SystemClock
from settee.errors import ConfigError

__all__ = [
    "CollectionsOption",
    "PinOption",
    "QuietOption",
    "SelfSignedOption",
    "options_of",
    "pull",
    "push",
    "run_replication",
    "sync",
]

_REFUSED_SHOWN_MAX: Final = 20

TargetArgument = Annotated[
    str,
    typer.Argument(
        metavar="PEER",
        help="The peer: wss://HOST:PORT/NAME, or the name under which it announces itself.",
    ),
]
CollectionsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--collection",
        "-c",
        metavar="NAME",
        help="This collection, made if missing; may be repeated. Default: all that there are.",
    ),
]
PinOption = Annotated[
    str | None,
    typer.Option(
        "--pin",
        metavar="SHA256",
        help="Trust only the peer with this certificate: the fingerprint that `listen` prints.",
    ),
]
SelfSignedOption = Annotated[
    bool,
    typer.Option(
        "--self-signed",
        help="Trust any self-signed certificate. For a first try: who stands between can read "
        "along. Prefer --pin.",
    ),
]
ContinuousOption = Annotated[
    bool, typer.Option("--continuous", help="Stay and sync each change, until Ctrl-C.")
]
RetryOption = Annotated[
    int | None,
    typer.Option(
        "--retry",
        metavar="N",
        min=0,
        help="If the peer can't be reached, try so many times more, with growing pauses. "
        "Default: none; with --continuous without end.",
    ),
]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")]


def sync(
    name: DatabaseArgument,
    target: TargetArgument,
    user: UserOption = None,
    password: PasswordOption = None,
    password_file: PasswordFileOption = None,
    pin: PinOption = None,
    self_signed: SelfSignedOption = False,
    collection: CollectionsOption = None,
    continuous: ContinuousOption = False,
    retry: RetryOption = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Push to a peer and pull from it.

    Makes the database if it is missing.
    """
    options = options_of(
        user, password, password_file, pin, self_signed, collection, continuous, retry
    )
    run_replication(name, target, "push_and_pull", options, quiet, as_json)


def push(
    name: DatabaseArgument,
    target: TargetArgument,
    user: UserOption = None,
    password: PasswordOption = None,
    password_file: PasswordFileOption = None,
    pin: PinOption = None,
    self_signed: SelfSignedOption = False,
    collection: CollectionsOption = None,
    continuous: ContinuousOption = False,
    retry: RetryOption = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Send a peer the changes that it doesn't have."""
    options = options_of(
        user, password, password_file, pin, self_signed, collection, continuous, retry
    )
    run_replication(name, target, "push", options, quiet, as_json)


def pull(
    name: DatabaseArgument,
    target: TargetArgument,
    user: UserOption = None,
    password: PasswordOption = None,
    password_file: PasswordFileOption = None,
    pin: PinOption = None,
    self_signed: SelfSignedOption = False,
    collection: CollectionsOption = None,
    continuous: ContinuousOption = False,
    retry: RetryOption = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Fetch the changes of a peer.

    Makes the database if it is missing.
    """
    options = options_of(
        user, password, password_file, pin, self_signed, collection, continuous, retry
    )
    run_replication(name, target, "pull", options, quiet, as_json)


def options_of(
    user: str | None,
    password: str | None,
    password_file: str | None,
    pin: str | None,
    self_signed: bool,
    collections: list[str] | None,
    continuous: bool,
    retry: int | None,
) -> dict[str, Any]:
    """Return the options of the replicator that the commands share."""
    if pin is not None and self_signed:
        raise ConfigError("--self-signed", "give it or --pin, not both: a pin is the stricter one")
    if user is None and (password is not None or password_file is not None):
        raise ConfigError("--user", "a password is given, but not whose it is")
    options: dict[str, Any] = {"continuous": continuous}
    if retry is not None or not continuous:
        # Somebody waits at a shell: a wrong address should be told at once.
        options["max_attempts"] = 1 + (retry or 0)
    if user is not None:
        secret = password_of(user, given=password, file=password_file)
        options["authenticator"] = BasicAuthenticator(user, secret)
    if pin is not None:
        options["pinned_server_certificate"] = pin
    if self_signed:
        options["accept_only_self_signed"] = True
    if collections:
        options["collections"] = collections
    return options


def run_replication(
    name: str,
    target: str,
    replicator_type: str,
    options: dict[str, Any],
    quiet: bool,
    as_json: bool,
) -> None:
    """Replicate, showing how it goes, and end with the exit code that says how it went."""
    peer = target if "://" in target else find(target)
    clock = SystemClock()
    start_s = clock.monotonic()
    is_stopped = False
    if "collections" not in options and not Database.exists(name):
        notice("A new database has the default collection only; name others with --collection.")
    with opened(name, create=replicator_type != "push") as db:
        for collection in options.get("collections", ()):
            collection_in(db, collection, create=replicator_type != "push")
        replicator = _replicator(db, peer, replicator_type=replicator_type, **options)
        with ended_by_signals(), SyncView(target, quiet=quiet or as_json) as view:
            try:
                replicator.start()
                for status in replicator.statuses():
                    _show(view, status, clock.monotonic() - start_s)
            except KeyboardInterrupt:
                is_stopped = True
            finally:
                replicator.stop()
        _summarise(replicator, clock.monotonic() - start_s, as_json=as_json)
        error, refused = replicator.status.error, replicator.status.progress.failed
    if is_stopped:
        # Whoever stops a continuous one means it; a one-shot one was not done.
        raise typer.Exit(ExitCode.DONE if options["continuous"] else ExitCode.INTERRUPTED)
    if error is not None:
        raise error
    if refused:
        raise typer.Exit(ExitCode.FAILED)


def _replicator(db: Database, peer: str | PeerFound, **options: Any) -> Replicator:
    """Make the replicator; what the library warns of is said in the words of the command line."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        replicator = Replicator(db, peer, **options)
    if options.get("accept_only_self_signed") and "authenticator" in options:
        notice(
            "Warning: with --self-signed the password goes to whoever answers. "
            "Give --pin and the fingerprint that `settee listen` shows."
        )
    return replicator


def _show(view: SyncView, status: ReplicatorStatus, elapsed_s: float) -> None:
    progress = status.progress
    done = progress.pushed + progress.pulled
    view.show(
        status.activity.value,
        documents=done,
        documents_total=done + progress.pending,
        bytes_done=progress.bytes_pushed + progress.bytes_pulled,
        elapsed_s=elapsed_s,
        reason=str(status.error or "") if status.activity.value == "offline" else "",
    )


def _summarise(replicator: Replicator, elapsed_s: float, *, as_json: bool) -> None:
    """Print what was done, also if it did not end well, and which documents were refused."""
    status = replicator.status
    progress = status.progress
    if as_json:
        show_json(
            {
                "pushed": progress.pushed,
                "pulled": progress.pulled,
                "bytes_pushed": progress.bytes_pushed,
                "bytes_pulled": progress.bytes_pulled,
                "elapsed_s": round(elapsed_s, 3),
                "error": None if status.error is None else str(status.error),
                "refused": [
                    {
                        "collection": str(each.collection),
                        "id": each.doc_id,
                        "pushed": each.pushed,
                        "error": str(each.error),
                    }
                    for each in replicator.errors
                ],
            }
        )
        return
    if status.error is not None and not (progress.pushed or progress.pulled):
        return
    line(
        f"Pushed {documents_text(progress.pushed)} ({bytes_text(progress.bytes_pushed)}), "
        f"pulled {documents_text(progress.pulled)} ({bytes_text(progress.bytes_pulled)}) "
        f"in {elapsed_s:.1f} s"
    )
    for each in replicator.errors[:_REFUSED_SHOWN_MAX]:
        problem(f"refused: {each.collection}/{each.doc_id}: {each.error}")
    if progress.failed > _REFUSED_SHOWN_MAX:
        problem(f"{documents_text(progress.failed)} refused; --json names more of them")

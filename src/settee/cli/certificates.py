"""``settee cert``: the identities (key and certificate) that this user's listeners have."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from settee import ConfigError, ExistsError, NotFoundError, SetteeError, TLSIdentity
from settee.cli.completion import identity_labels
from settee.cli.database import JsonOption
from settee.cli.render import line, problem, show_json, table
from settee.identity import vault

__all__ = ["app", "kept_labels"]

app: typer.Typer = typer.Typer(
    help="Identities: the keys and certificates that listeners show.", no_args_is_help=True
)

NewLabelArgument = Annotated[
    str, typer.Argument(metavar="LABEL", help="What to call it, such as kitchen.")
]
LabelArgument = Annotated[
    str,
    typer.Argument(
        metavar="LABEL",
        help="Of which identity; `listen` uses settee unless told otherwise.",
        autocompletion=identity_labels,
    ),
]

_DEFAULT_LABEL = "settee"


@app.command("make")
def make(label: NewLabelArgument, as_json: JsonOption = False) -> None:
    """Make an identity and keep it, and show its fingerprint. `listen --identity` makes it too."""
    if _is_kept(label):
        raise ExistsError(
            f"there is an identity {label!r} already; `settee cert show {label}` shows it"
        )
    _show(TLSIdentity.self_signed(label), as_json=as_json)


@app.command("show")
def show(label: LabelArgument = _DEFAULT_LABEL, as_json: JsonOption = False) -> None:
    """Show a certificate: its fingerprint, which peers pin, and how long it is good."""
    _show(TLSIdentity.load(label), as_json=as_json)


@app.command("list")
def list_identities(as_json: JsonOption = False) -> None:
    """List the identities that are kept."""
    rows = []
    for path in _files():
        try:
            rows.append(_facts(_identity(path)))
        except SetteeError as exc:
            problem(str(exc))
    if as_json:
        for row in rows:
            show_json(row)
        return
    table(
        ["Label", "Good until", "Fingerprint"],
        [(row["label"], row["not_after"][:10], row["fingerprint"]) for row in rows],
    )


@app.command("delete")
def delete(
    label: Annotated[
        str,
        typer.Argument(metavar="LABEL", help="Which identity.", autocompletion=identity_labels),
    ],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")] = False,
) -> None:
    """Delete an identity with its private key. Peers that pinned it will refuse the next one."""
    if not _is_kept(label):
        raise NotFoundError(f"there is no identity {label!r}")
    if not yes:
        if not sys.stdin.isatty():
            raise ConfigError("--yes", "give this option to delete a private key for good")
        typer.confirm(
            f"Delete the private key of {label}? Peers that pinned it will refuse the next one.",
            abort=True,
            err=True,
        )
    TLSIdentity.delete(label)


@app.command("export")
def export(
    label: LabelArgument = _DEFAULT_LABEL,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write to this file."),
    ] = None,
    key: Annotated[
        bool,
        typer.Option(
            "--key",
            help="With the private key, unencrypted, to a file that only you can read: for "
            "moving to another machine, not for peers.",
        ),
    ] = False,
) -> None:
    """Write a certificate as PEM, for a peer to pin."""
    if key and output is None:
        raise ConfigError("--key", "a private key goes to a file only: give --output FILE")
    identity = TLSIdentity.load(label)
    if output is None:
        print(identity.chain_pem.decode("ascii"), end="")
    elif key:
        vault.replace(output, identity.private_key_pem + identity.chain_pem, "the private key")
    else:
        output.write_bytes(identity.chain_pem)


def kept_labels() -> Iterator[str]:
    """Yield the labels of the identities that are kept, without those that can't be read."""
    for path in _files():
        try:
            yield _identity(path).label
        except SetteeError:
            continue


def _files() -> list[Path]:
    directory = vault.default_directory()
    return sorted(directory.glob("*.pem")) if directory.is_dir() else []


def _identity(path: Path) -> TLSIdentity:
    """Read the identity of a file: its label is its certificate's name."""
    data = vault.read(path, "the identity")
    try:
        return TLSIdentity.from_pem(data)
    except ConfigError as exc:
        raise ConfigError(str(path), f"it is damaged ({exc})") from exc


def _is_kept(label: str) -> bool:
    return vault.label_path(vault.default_directory(), label).exists()


def _facts(identity: TLSIdentity) -> dict[str, Any]:
    info = identity.info
    return {
        "label": identity.label,
        "fingerprint": identity.fingerprint,
        "subject": info.subject,
        "self_signed": info.self_signed,
        "not_before": info.not_before.isoformat(),
        "not_after": info.not_after.isoformat(),
    }


def _show(identity: TLSIdentity, *, as_json: bool) -> None:
    facts = _facts(identity)
    if as_json:
        show_json(facts)
        return
    line(f"Label        {facts['label']}")
    line(f"Fingerprint  {facts['fingerprint']}")
    line(f"Subject      {facts['subject']}" + (" (self-signed)" if facts["self_signed"] else ""))
    line(f"Good         {facts['not_before'][:10]} to {facts['not_after'][:10]}")

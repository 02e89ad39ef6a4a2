"""What a person types, or a QR code says, as the address of a device.

Taken are ``192.168.1.7:4984``, ``[fe80::1]:4984``, ``fe80::1`` with a port in brackets only,
``shop.local:4984`` and whole URLs; the fingerprint may stand behind a ``#``, as in a QR code.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from settee_inventory.links.words import is_fingerprint

__all__ = ["DEFAULT_PATH", "Address", "AddressError", "invitation", "read_address"]

DEFAULT_PATH: Final = "userdb"
"""The database's name in the tutorial, and here."""

_HOST: Final = re.compile(
    r"(?=.{1,253}\Z)[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?"
    r"(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*\.?\Z"
)
_CHARACTERS_MAX: Final = 400


class AddressError(ValueError):
    """An address that can't be dialled; the message is a sentence for the person."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where to dial."""

    url: str
    """``wss://host:port/path``, or ``ws://`` if it was typed so."""
    place: str
    """``host:port``, to be shown."""
    fingerprint: str | None = None
    """SHA-256 that the certificate must have, from a QR code."""


def read_address(text: str, *, tls: bool = True) -> Address:
    """Return where `text` says to dial; `tls` decides unless the text has a scheme.

    Raises AddressError.
    """
    typed = text.strip()
    if not typed or len(typed) > _CHARACTERS_MAX or any(c.isspace() for c in typed):
        raise AddressError("Type an address such as 192.168.1.7:4984.")
    typed, _, fragment = typed.partition("#")
    fingerprint = fragment.strip().lower() or None
    if fingerprint is not None and not is_fingerprint(fingerprint):
        raise AddressError("What stands behind the # is no fingerprint. Scan or copy it again.")
    if "://" not in typed:
        typed = f"{'wss' if tls else 'ws'}://{_with_brackets(typed)}"
    try:
        parts = urlsplit(typed)
        port = parts.port
    except ValueError:
        raise AddressError("The port is a number from 1 to 65535.") from None
    if parts.scheme not in ("ws", "wss"):
        raise AddressError("The address begins with wss:// or ws://, or with neither.")
    if parts.username is not None or parts.query:
        raise AddressError("The address has no place for a user or a question mark.")
    host = parts.hostname or ""
    if not port:
        shown = f"[{host}]" if ":" in host else host or "192.168.1.7"
        raise AddressError(f"Add a port, for example {shown}:4984.")
    if not _is_host(host):
        raise AddressError("That is neither a name nor an address. Compare it with the Listener.")
    path = parts.path.strip("/") or DEFAULT_PATH
    place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return Address(f"{parts.scheme}://{place}/{path}", place, fingerprint)


def invitation(url: str, fingerprint: str | None) -> str:
    """Return what a QR code says: the address, and by which certificate to know the device."""
    return f"{url}#{fingerprint}" if fingerprint else url


def _with_brackets(text: str) -> str:
    host, slash, rest = text.partition("/")
    try:
        ipaddress.IPv6Address(host.partition("%")[0])
    except ValueError:
        return text
    return f"[{host}]{slash}{rest}"


def _is_host(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return bool(_HOST.match(host)) and not host.rpartition(".")[2].isdigit()
    return True

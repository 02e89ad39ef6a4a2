"""How the listener encrypts, and how the certificates of others are checked.

Four modes of the listener: *generated* (an identity that is made once and kept), *anonymous* (a new
one at each start), *own* (a PKCS#12 file), *none*. Four ways to check: *first use* (six words are
compared once, then only that certificate counts), *pinned* (one certificate file), *authority* (the
system's authorities, or those of a file), *none* (any self-signed certificate).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from settee import CertificateInfo, TLSIdentity

__all__ = ["CHECKS", "MODES", "PAIRS", "check_options", "identity_of", "keep_own", "own_identity"]

MODES: Final = ("generated", "anonymous", "own", "none")
CHECKS: Final = ("first use", "pinned", "authority", "none")

PAIRS: Final = (
    ("Generated identity", "Trust on first use", "Recommended. Known from then on by its words."),
    ("Anonymous", "No check", "Encrypted, but nobody knows with whom. A new key at each start."),
    ("Own certificate file", "Pinned certificate", "Only the exact certificate of that file."),
    ("Own certificate file", "Certificate authority", "If an authority of yours has signed it."),
    ("No encryption", "any", "Nothing is checked, and all can be read along. For tests."),
)
"""Listener mode, check on the other devices, what it gives: the pairs that fit."""

DEVICE_LABEL: Final = "device"
_OWN_LABEL: Final = "own-certificate"


def device_identity(directory: Path) -> TLSIdentity:
    """Return this device's identity; the first time it is made. Raises StoreError."""
    return TLSIdentity.self_signed(DEVICE_LABEL, directory=directory)


def own_identity(directory: Path) -> TLSIdentity | None:
    """Return the identity of the file that was chosen, None if none was. Raises StoreError."""
    try:
        return TLSIdentity.load(_OWN_LABEL, directory)
    except KeyError:
        return None


def keep_own(data: bytes, password: str, directory: Path) -> TLSIdentity:
    """Take a PKCS#12 file and keep its identity in place of the former.

    Raises ConfigError, with the reason, if it can't be used.
    """
    identity = TLSIdentity.from_pkcs12(data, password or None)
    TLSIdentity.delete(_OWN_LABEL, directory)
    return identity.save(_OWN_LABEL, directory)


def identity_of(mode: str, directory: Path) -> dict[str, Any]:
    """Return the options of a `URLEndpointListener` for `mode`.

    Raises LookupError for ``"own"`` while no file was chosen.
    """
    match mode:
        case "none":
            return {"tls": False, "allow_plaintext_passwords": True}
        case "anonymous":
            return {"tls_identity": None}
        case "own":
            own = own_identity(directory)
            if own is None:
                raise LookupError("Choose the certificate file first.")
            return {"tls_identity": own}
    return {"tls_identity": device_identity(directory)}


def check_options(
    check: str, *, fingerprint: str, pinned: CertificateInfo | str | None, roots: bytes | None
) -> dict[str, Any]:
    """Return the options of a `Replicator` for `check`.

    `fingerprint` is what was trusted at the first meeting, `pinned` the certificate of the chosen
    file, `roots` the authorities of a chosen file (PEM). Raises LookupError if what the check needs
    is missing.
    """
    match check:
        case "pinned":
            if not pinned:
                raise LookupError("Choose the certificate file to accept, under Settings.")
            return {"pinned_server_certificate": pinned}
        case "authority":
            return {"trusted_roots": roots}
        case "none":
            return {"accept_only_self_signed": True, "trust_on_first_use": False}
    if not fingerprint:
        raise LookupError("Compare the six words first.")
    return {"pinned_server_certificate": fingerprint}

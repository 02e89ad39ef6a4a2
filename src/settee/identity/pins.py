"""Pins: the SHA-256 of the one certificate that a peer may show, read from whatever form it has.

A pin compares the leaf and nothing else. A certificate that is merely sent along in the chain
proves nothing, since anybody can send it.
"""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path
from typing import Final, Protocol

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from settee.errors import ConfigError
from settee.identity.inspect import READ_ERRORS
from settee.limits import CERTIFICATE_BYTES_MAX

__all__ = ["Fingerprinted", "PinSource", "parse_pin"]

_DIGEST_BYTES: Final = 32
_PREFIX: Final = re.compile(r"sha-?256(?:[ _]fingerprint)?\s*[:=/]\s*", re.IGNORECASE)
_BETWEEN: Final = re.compile(r"[\s:-]+")
_HEX: Final = re.compile(r"[0-9a-fA-F]+\Z")
_BASE64: Final = re.compile(r"[A-Za-z0-9+/]{43}=?\Z")
_FORMS: Final = "give a certificate as PEM or DER, or its SHA-256 as 64 hex digits"


class Fingerprinted(Protocol):
    """What knows its certificate's fingerprint: a `TLSIdentity`, a `CertificateInfo`."""

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate's DER bytes in hex."""


PinSource = bytes | str | Path | x509.Certificate | Fingerprinted
"""Whatever tells which certificate is meant; see `parse_pin`."""


def parse_pin(value: PinSource, *, field: str = "pinned_server_certificate") -> bytes:
    """Return the SHA-256 (32 bytes) of the certificate that `value` means.

    `value` may be

    - a SHA-256 fingerprint as text: 64 hex digits in either case, also with colons, spaces or
      dashes between them, or 43 characters of base64; ``SHA256:`` or what OpenSSL prints before it
      may stand in front;
    - 32 bytes, the SHA-256 itself;
    - one certificate as PEM (str or bytes) or as DER (bytes);
    - a `Path` to a file with any of these;
    - a `TLSIdentity`, a `CertificateInfo`, or a certificate object of the `cryptography` library.

    Raises ConfigError, naming `field`, for anything else, and for PEM with several certificates:
    a pin is one. The message never repeats the value, which might be a private key by mistake.
    """
    if isinstance(value, Path):
        value = _read(value, field)
    if isinstance(value, str):
        text = value.strip()
        return _pem(text.encode(), field) if "-----BEGIN" in text else _text(text, field)
    if isinstance(value, bytes):
        return _raw(value, field)
    if isinstance(value, x509.Certificate):
        return hashlib.sha256(value.public_bytes(Encoding.DER)).digest()
    fingerprint = getattr(value, "fingerprint", None)
    if isinstance(fingerprint, str):
        return _text(fingerprint, field)
    raise ConfigError(field, f"a {type(value).__name__} is no certificate; {_FORMS}")


def _read(path: Path, field: str) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(CERTIFICATE_BYTES_MAX + 1)
    except OSError as exc:
        raise ConfigError(field, f"{str(path)!r} can't be read: {exc.strerror}") from exc
    if len(data) > CERTIFICATE_BYTES_MAX:
        raise ConfigError(
            field, f"{str(path)!r} is no certificate: over {CERTIFICATE_BYTES_MAX} bytes"
        )
    return data


def _raw(data: bytes, field: str) -> bytes:
    if b"-----BEGIN" in data:
        return _pem(data, field)
    # A certificate is longer than 127 bytes, and the length in its second byte then is no ASCII. Of
    # 32 bytes that are the SHA-256 itself all are ASCII once in four thousand millions; all of them
    # hex digits (a misplaced MD5) never.
    if data.isascii() and (len(data) != _DIGEST_BYTES or _HEX.match(data.decode())):
        return _text(data.decode().strip(), field)
    if len(data) == _DIGEST_BYTES:
        return data
    try:
        x509.load_der_x509_certificate(data)
    except READ_ERRORS as exc:
        raise ConfigError(field, f"these {len(data)} bytes are no certificate; {_FORMS}") from exc
    return hashlib.sha256(data).digest()


def _pem(data: bytes, field: str) -> bytes:
    try:
        certificates = x509.load_pem_x509_certificates(data)
    except READ_ERRORS as exc:
        problem = "holds a private key" if b"PRIVATE KEY-----" in data else "can't be read"
        raise ConfigError(field, f"this PEM {problem}, not one certificate; {_FORMS}") from exc
    if len(certificates) != 1:
        raise ConfigError(
            field,
            f"this PEM holds {len(certificates)} certificates; a pin is one: give the peer's own "
            "(the first of a chain)",
        )
    return hashlib.sha256(certificates[0].public_bytes(Encoding.DER)).digest()


def _text(text: str, field: str) -> bytes:
    prefix = _PREFIX.match(text)
    bare = text[prefix.end() :] if prefix else text
    digits = _BETWEEN.sub("", bare)
    if _HEX.match(digits):
        if len(digits) == 2 * _DIGEST_BYTES:
            return bytes.fromhex(digits)
        kind = {40: ": that is a SHA-1", 32: ": that is an MD5"}.get(len(digits), "")
        raise ConfigError(
            field, f"has {len(digits)} hex digits{kind}; a SHA-256 fingerprint has 64"
        )
    if _BASE64.match(bare):
        return base64.b64decode(bare.rstrip("=") + "=")
    raise ConfigError(field, f"is neither a certificate nor a fingerprint; {_FORMS}")

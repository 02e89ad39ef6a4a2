"""Certificates from whatever form a caller has them in, for those who need the whole of them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from settee.errors import ConfigError
from settee.identity.identity import TLSIdentity
from settee.identity.inspect import READ_ERRORS, CertificateInfo
from settee.limits import CERTIFICATE_BYTES_MAX

__all__ = ["CertificateSource", "certificates_pem"]

CertificateSource = bytes | str | Path | x509.Certificate | TLSIdentity | CertificateInfo
"""A certificate as PEM (also several in one text) or DER, a file with that, or what has one."""

_FORMS: Final = "give certificates as PEM or DER, or a Path to them"
_ALL_BYTES_MAX: Final = 64 * CERTIFICATE_BYTES_MAX


def certificates_pem(
    given: CertificateSource | Sequence[CertificateSource], *, field: str
) -> tuple[tuple[bytes, bytes], ...]:
    """Return each certificate as PEM, with the SHA-256 (32 bytes) of its DER.

    Raises ConfigError, naming `field`, if there is none or one can't be read. The message never
    repeats what was given, which might be a private key by mistake.
    """
    several = isinstance(given, Sequence) and not isinstance(given, str | bytes)
    result: list[tuple[bytes, bytes]] = []
    for source in given if several else (given,):  # type: ignore[union-attr]
        for certificate in _read(source, field):
            der = certificate.public_bytes(Encoding.DER)
            result.append((certificate.public_bytes(Encoding.PEM), hashlib.sha256(der).digest()))
    if not result:
        raise ConfigError(field, f"holds no certificate; {_FORMS}")
    return tuple(dict.fromkeys(result))


def _read(source: object, field: str) -> list[x509.Certificate]:
    if isinstance(source, x509.Certificate):
        return [source]
    if isinstance(source, TLSIdentity):
        return _parse(source.certificate_der, field)
    if isinstance(source, CertificateInfo):
        return _parse(source.der, field)
    if isinstance(source, Path):
        return _parse(_file(source, field), field)
    if isinstance(source, str):
        return _parse(source.encode("utf-8", "replace"), field)
    if isinstance(source, bytes):
        return _parse(source, field)
    raise ConfigError(field, f"a {type(source).__name__} is no certificate; {_FORMS}")


def _file(path: Path, field: str) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(_ALL_BYTES_MAX + 1)
    except OSError as exc:
        raise ConfigError(field, f"{str(path)!r} can't be read: {exc.strerror}") from exc
    if len(data) > _ALL_BYTES_MAX:
        raise ConfigError(field, f"{str(path)!r} has over {_ALL_BYTES_MAX} bytes")
    return data


def _parse(data: bytes, field: str) -> list[x509.Certificate]:
    try:
        if b"-----BEGIN" in data:
            return x509.load_pem_x509_certificates(data)
        return [x509.load_der_x509_certificate(data)]
    except READ_ERRORS as exc:
        problem = "holds a private key" if b"PRIVATE KEY-----" in data else "can't be read"
        hint = "; a fingerprint is not enough here" if len(data) in (32, 64, 95) else ""
        raise ConfigError(field, f"{problem}{hint}; {_FORMS}") from exc

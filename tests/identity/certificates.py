"""Certificates for tests, made to be wrong in one respect each."""

from __future__ import annotations

import datetime
import functools
import hashlib
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

WHEN = datetime.datetime(2026, 6, 1, tzinfo=datetime.UTC)
YEAR = datetime.timedelta(days=365)


@functools.cache
def key(name: str) -> ec.EllipticCurvePrivateKey:
    """One P-256 key per name, the same in each run."""
    secret = int.from_bytes(hashlib.sha256(name.encode()).digest()) >> 1
    return ec.derive_private_key(secret, ec.SECP256R1())


def name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def certificate(
    subject: str,
    *,
    issuer: str | None = None,
    own_key: Any = None,
    signed_with: Any = None,
    extensions: tuple[tuple[x509.ExtensionType, bool], ...] = (),
) -> x509.Certificate:
    """`subject`'s certificate, from `issuer` (itself by default), signed with its key."""
    own = own_key or key(subject)
    signer = signed_with or (own if issuer is None else key(issuer))
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(name(issuer or subject))
        .public_key(own.public_key())
        .serial_number(4711)
        .not_valid_before(WHEN)
        .not_valid_after(WHEN + YEAR)
    )
    for value, critical in extensions:
        builder = builder.add_extension(value, critical)
    steady = True if isinstance(signer, ec.EllipticCurvePrivateKey) else None
    return builder.sign(signer, hashes.SHA256(), ecdsa_deterministic=steady)


def der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.DER)


def pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.PEM)


def key_pem(private: Any, password: bytes | None = None) -> bytes:
    encryption = NoEncryption() if password is None else BestAvailableEncryption(password)
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)

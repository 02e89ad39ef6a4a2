"""A certificate authority for one run, and an identity that it signed for 127.0.0.1."""

from __future__ import annotations

import datetime
import ipaddress
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from settee import TLSIdentity

__all__ = ["Authority"]

DAY: Final = datetime.timedelta(days=1)


class Authority:
    """Signs certificates that are good for a few days."""

    def __init__(self) -> None:
        self._key: Final = ec.generate_private_key(ec.SECP256R1())
        self._certificate: Final = self._sign(
            "settee interop authority",
            self._key.public_key(),
            [
                (x509.BasicConstraints(ca=True, path_length=0), True),
                (x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), False),
            ],
        )
        self.pem: Final = self._certificate.public_bytes(Encoding.PEM)

    def _sign(
        self,
        subject: str,
        key: ec.EllipticCurvePublicKey,
        extensions: list[tuple[x509.ExtensionType, bool]],
    ) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(_name(subject))
            .issuer_name(_name("settee interop authority"))
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - DAY)
            .not_valid_after(now + 7 * DAY)
        )
        for value, critical in extensions:
            builder = builder.add_extension(value, critical)
        return builder.sign(self._key, hashes.SHA256())

    def identity(self) -> TLSIdentity:
        """Return a new key with a certificate for 127.0.0.1, without the authority's own."""
        key = ec.generate_private_key(ec.SECP256R1())
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        certificate = self._sign(
            "settee interop listener",
            key.public_key(),
            [
                (x509.BasicConstraints(ca=False, path_length=None), True),
                (
                    x509.SubjectAlternativeName(
                        [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
                    ),
                    False,
                ),
                (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
                (issuer, False),
            ],
        )
        return TLSIdentity.from_pem(
            certificate.public_bytes(Encoding.PEM),
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        )


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])

"""What a certificate says about itself, read from its DER bytes.

`net` is handed the other side's certificate as bytes by TLS and must judge dates, names and
self-signature itself where no certification authority is asked. Parsing is only done here, so that
`cryptography` stays behind one door; what comes back are plain values. The bytes come from a peer
that is not trusted yet: they are bounded, and nothing but CertificateError comes out of junk.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from settee.errors import CertificateError
from settee.limits import CERTIFICATE_BYTES_MAX

__all__ = ["READ_ERRORS", "CertificateInfo", "describe", "describe_certificate", "fingerprint_of"]

# What the parser raises for bytes that are no certificate, or for one with a damaged part: it reads
# lazily, so each of them can also come from an attribute. Three of them have no better base, and
# some faults (a serial number below one) are warnings, which a caller may have turned into errors.
READ_ERRORS: Final = (
    ValueError,
    TypeError,
    OverflowError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
    UserWarning,
)


@dataclass(frozen=True, slots=True)
class CertificateInfo:
    """A certificate's own words, checked for form and for nothing else.

    Only `self_signed` and `fingerprint` are facts; all the rest is what its maker wrote into it.
    """

    subject: str
    """Distinguished name as in RFC 4514, such as ``CN=kitchen``; may be empty."""
    issuer: str
    """Distinguished name of who signed it."""
    not_before: datetime
    """Valid from, in UTC (an aware datetime)."""
    not_after: datetime
    """Valid until and including, in UTC."""
    self_signed: bool
    """Issuer and subject are the same name, and the signature verifies with its own key."""
    fingerprint: str
    """SHA-256 of the DER bytes, 64 lower-case hex digits."""
    dns_names: tuple[str, ...]
    """DNS names that it is for (subject alternative names)."""
    ip_addresses: tuple[str, ...]
    """IP addresses that it is for (subject alternative names)."""
    is_ca: bool
    """Whether it may sign other certificates."""
    serial: int
    """Its number at its issuer."""
    common_name: str | None = None
    """What it calls whom it is for; None if it doesn't."""
    der: bytes = field(default=b"", repr=False)
    """The certificate itself."""

    @property
    def pem(self) -> bytes:
        """The certificate itself as PEM text, such as a pin can be given."""
        return x509.load_der_x509_certificate(self.der).public_bytes(Encoding.PEM)

    def valid_at(self, moment: datetime) -> bool:
        """Tell whether `moment` (an aware datetime) lies between the two dates."""
        return self.not_before <= moment <= self.not_after


def fingerprint_of(der: bytes) -> str:
    """Return the SHA-256 of a certificate's DER bytes as 64 lower-case hex digits."""
    return hashlib.sha256(der).hexdigest()


def describe(der: bytes) -> CertificateInfo:
    """Read a certificate from DER bytes.

    Raises CertificateError (permanent) if the bytes are no X.509 certificate, if a part of it
    can't be read, or if they are more than `CERTIFICATE_BYTES_MAX`.
    """
    if len(der) > CERTIFICATE_BYTES_MAX:
        raise CertificateError(
            f"the certificate has {len(der)} bytes, more than the {CERTIFICATE_BYTES_MAX} accepted",
            domain="Network",
            code=6,
        )
    try:
        return describe_certificate(x509.load_der_x509_certificate(der))
    except READ_ERRORS as exc:
        raise CertificateError(
            f"the {len(der)} bytes that came as a certificate are no readable X.509 certificate: "
            f"{type(exc).__name__}",
            domain="Network",
            code=6,
        ) from exc


def describe_certificate(certificate: x509.Certificate) -> CertificateInfo:
    """Like `describe`, for a certificate that this room has parsed already."""
    der = certificate.public_bytes(Encoding.DER)
    extensions = certificate.extensions
    dns_names: tuple[str, ...] = ()
    ip_addresses: tuple[str, ...] = ()
    is_ca = False
    for extension in extensions:
        value = extension.value
        if isinstance(value, x509.SubjectAlternativeName):
            dns_names = tuple(value.get_values_for_type(x509.DNSName))
            ip_addresses = tuple(str(ip) for ip in value.get_values_for_type(x509.IPAddress))
        elif isinstance(value, x509.BasicConstraints):
            is_ca = value.ca
    return CertificateInfo(
        subject=certificate.subject.rfc4514_string(),
        issuer=certificate.issuer.rfc4514_string(),
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        self_signed=_signed_by_itself(certificate),
        fingerprint=fingerprint_of(der),
        dns_names=dns_names,
        ip_addresses=ip_addresses,
        is_ca=is_ca,
        serial=certificate.serial_number,
        common_name=_common_name(certificate),
        der=der,
    )


def _common_name(certificate: x509.Certificate) -> str | None:
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if names else None


def _signed_by_itself(certificate: x509.Certificate) -> bool:
    """Names alone prove nothing: anybody can write them. The signature must verify too."""
    if certificate.issuer != certificate.subject:
        return False
    try:
        certificate.verify_directly_issued_by(certificate)
    except (InvalidSignature, *READ_ERRORS):
        return False
    return True
